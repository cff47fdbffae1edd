"""The layout of an array: extraction, its effect on the matrix, tiling."""
