"""What a device can solve: how fast refinement converges on it, and the smallest damping that it bears, with what sets it.

walls            the damping that each wall asks for, and the one that limits
contraction_law  by what a round of refinement multiplies the error
dies             the same of drawn dies, without a law
random_matrices  spectra of random matrices with a variance for each entry
imperfections    the figures of a technology or a card that the law takes, and the ways to improve them
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
