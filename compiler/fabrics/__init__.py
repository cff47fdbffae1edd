"""The fabrics: one file for each kind of circuit that a matrix can become."""
