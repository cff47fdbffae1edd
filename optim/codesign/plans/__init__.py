"""Studies as files: which design points, dies and seeds are evaluated, and the table of what came of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
