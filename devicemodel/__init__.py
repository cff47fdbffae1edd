"""How a programmed device behaves: ideal, surrogate and SPICE behind one protocol; calibration; cost; exact stochastic laws."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
