"""The design space: every knob of the technology, the host and the optimizer, and points of it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
