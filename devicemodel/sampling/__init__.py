"""Solving by sampling: A^-1 from the covariance of a noisy circuit, with its statistical error and what it costs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
