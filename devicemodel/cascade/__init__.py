"""The cascade device: arrays of a matrix's factors, for any number of cells."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
