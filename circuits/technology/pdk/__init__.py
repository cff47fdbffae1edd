"""Foundries' processes: where their installed ngspice models are, and what of them is a figure."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
