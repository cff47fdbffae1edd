"""SPICE text: netlists read, and written for ngspice, LTspice and Xyce."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
