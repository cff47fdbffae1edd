"""The layout of an array: extraction, its effect on the matrix, and placement on tiles."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
