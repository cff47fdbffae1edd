"""Which dense drifts have independent modes, and their eigenvectors."""

from __future__ import annotations

import torch
from torch import Tensor

from ..systems import Kronecker
from .general import GeneralLaw
from .spectral import DenseBasis, KroneckerBasis, ModeLaw

LARGEST_SPREAD = 1e8
"""Of the eigenvalues of a noise that is divided out; eigenvectors then magnify rounding by at most its square root."""


def law_of_matrix(drift: Tensor, diffusion: Tensor | float) -> ModeLaw | GeneralLaw:
    """By eigenvectors, if A is symmetric and D = c I, or if A D is symmetric and D well conditioned; else by matrices of one step.

    A matrix that takes part in a gradient goes the second way: eigenvectors have no derivative where eigenvalues meet.
    """
    A = drift.double()
    noise = diffusion.double() if isinstance(diffusion, Tensor) else diffusion
    differentiated = A.requires_grad or (isinstance(noise, Tensor) and noise.requires_grad)
    if not differentiated:
        eps = torch.finfo(drift.dtype).eps
        rate = _isotropic(noise) if isinstance(noise, Tensor) else noise
        if rate is not None and _symmetric(A, eps):
            values, vectors = torch.linalg.eigh((A + A.mT) / 2)
            return ModeLaw(values, DenseBasis(vectors, vectors.mT), rate, exact=_diagonal(A))
        if isinstance(noise, Tensor) and _symmetric(A @ noise, eps):
            balanced = _detailed_balance(A, noise)
            if balanced is not None:
                return balanced
    if not isinstance(noise, Tensor):
        eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
        return GeneralLaw(A, noise * eye if noise > 0 else None)
    return GeneralLaw(A, noise)


def law_of_product(drift: Kronecker, rate: float) -> ModeLaw:
    """The eigenvalues of A (x) B + damping are a_i b_j + damping, its eigenvectors products of those of A and of B."""
    (a, U), (b, V) = (torch.linalg.eigh((f.double() + f.double().mT) / 2) for f in (drift.A, drift.B))
    values = (a.unsqueeze(-1) * b.unsqueeze(-2)).flatten(-2) + drift.damping
    return ModeLaw(values, KroneckerBasis(U, V), rate)


def _detailed_balance(A: Tensor, D: Tensor) -> ModeLaw | None:
    """With D = L L^T, L^-1 A L is symmetric: = U diag(a) U^T, V = L U."""
    spread = torch.linalg.eigvalsh(D)
    if bool((spread[..., 0] * LARGEST_SPREAD <= spread[..., -1]).any()):
        return None
    L = torch.linalg.cholesky(D)
    whitened = torch.linalg.solve_triangular(L, A @ L, upper=False)
    values, U = torch.linalg.eigh((whitened + whitened.mT) / 2)
    inverse = torch.linalg.solve_triangular(L.mT, U, upper=True).mT
    return ModeLaw(values, DenseBasis(L @ U, inverse), 1.0)


def _isotropic(D: Tensor) -> float | None:
    """c, if D = c I exactly."""
    c = D[(0,) * D.dim()]
    eye = torch.eye(D.shape[-1], dtype=D.dtype, device=D.device)
    return float(c) if bool((c * eye == D).all()) else None


def _diagonal(M: Tensor) -> bool:
    return bool((torch.diag_embed(M.diagonal(dim1=-2, dim2=-1)) == M).all())


def _symmetric(M: Tensor, eps: float) -> bool:
    """Up to the rounding of a short sum: what is let pass here is what the laws are wrong by."""
    return bool(((M - M.mT).abs().amax((-2, -1)) <= 16 * eps * M.abs().amax((-2, -1))).all())
