"""The curvature of a batch, by layers, without forming it."""
