"""Amplifiers: macromodels, users' own netlists, noise sources, and what a test bench measures of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
