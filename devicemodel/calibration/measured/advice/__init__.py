"""What to make of a fit: mistakes in the data that would explain them, and the measurement that tells most."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
