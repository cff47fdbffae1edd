"""Linear circuits: state space, descriptor form, noise spectra and covariances."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
