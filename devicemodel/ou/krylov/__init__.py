"""Functions of large matrices by Krylov spaces."""
