"""What a design point comes to: the error of a solve, a training, and how well both agree with ngspice."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
