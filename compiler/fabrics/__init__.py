"""The fabrics: one file for each kind of circuit that a matrix can become."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
