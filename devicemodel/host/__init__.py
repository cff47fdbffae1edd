"""The digital side of every device, once: converters, read-out, signal level, attempts, calibrated range, state.

    hosted_device   a `Device` out of a board and the host
    host            drive, run, read, try again; for one die or for many
    board           what a device supplies: the physics
    auto_range      the signal level
    calibrated_range, converters, nonlinearity, readout, probe

What works around any device from outside has its place here, too:

    refine          a device whose readings are corrected by a digital residual
    iterations      the algebra of that
    kronecker_columns   a device for Kronecker systems out of one that is as wide as the factors
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
