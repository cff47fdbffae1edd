"""Rows of the Jacobian of a batch's outputs, from the autograd graph that the closure left."""
