"""Residuals of differential equations: per-sample Jacobians by torch.func, and derivatives of networks in their inputs."""
