"""How large an array of a technology may get, and what ends it.

largest   table of sizes, the largest one that works, and its cause, for bare and for refined readings
bare      what each cause alone makes of one reading
refined   by what each cause alone multiplies the error in a round of refinement
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
