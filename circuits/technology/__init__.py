"""What a device is built from: technologies and their parts, presets, dies, temperatures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
