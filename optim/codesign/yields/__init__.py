"""Yield, sensitivity and margins of a design: which dies meet a target, which figures matter, and how far each can get worse."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
