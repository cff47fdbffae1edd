"""The compiler's passes, in the order in which `compile_matrix` runs them."""
