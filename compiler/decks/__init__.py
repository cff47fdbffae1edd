"""Input files for a designer's own simulator: netlists with values as parameters, and Monte-Carlo decks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
