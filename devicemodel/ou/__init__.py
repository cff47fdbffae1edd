"""Exact laws of linear stochastic differential equations, in torch.

    >>> import torch
    >>> from thermograd.devicemodel.ou.process import OU
    >>> A = torch.tensor([[1.0, 8.0], [0.0, 1.2]])                     # a shear: stable, far from normal
    >>> process = OU(A, drive=torch.ones(2), diffusion=torch.diag(torch.tensor([1.0, 5.0])))
    >>> process.stationary().covariance
    >>> process.time_average(torch.zeros(2), start=3.0, window=10.0).variance
    >>> process.trajectory(torch.zeros(2), step=0.1, count=1000, generator=torch.Generator().manual_seed(0))

`transition` and `sample` are the plain functions that a device calls.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
