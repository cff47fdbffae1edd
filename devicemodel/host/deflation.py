"""`Deflation`: the largest eigenvectors of a matrix are taken out of what a device is programmed with, and solved for digitally.

With orthonormal V, (n, m), of Ritz vectors, W = A V and the Ritz values theta = diag(V^T W), the device holds

    R = (1 - V V^T) A (1 - V V^T) + sigma V V^T,                sigma the mean eigenvalue of the rest,

which is positive definite with A, whatever V is, and has no eigenvalue below the least of A's and sigma. A residual r is answered by

    V theta^-1 V^T r + (1 - V theta^-1 W^T) reading of (1 - W theta^-1 V^T) r,

the exact inverse of A where the reading is that of R and V spans eigenvectors; else the error of V is one that iterations correct, since it
is in the second term's projections and in no matrix. (Deflation as in J. Tang, R. Nabben, C. Vuik, Y. Erlangga, J. Sci. Comput. 39:340,
2009, "BNN".) What R gains: its entries are smaller by the shares of the large eigenvalues, and with them all that a die's errors are
shares of, mismatch, codes and the load of its rows.

V is found by 2 m + 10 steps of Lanczos' method from a fixed start, a product with A each; W is a by-product. To form R takes n^2 m
multiply-adds, as m products, and each reading 4 n m.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .iterations import Product

MORE_STEPS = 10
"""Steps of Lanczos' method beyond two for each vector."""


@dataclass(frozen=True, eq=False)
class Deflation:
    """The vectors taken out of a matrix A.

    Attributes:
        vectors: V, (n, m) float64. images: W = A V, (n, m). values: theta, (m,), descending.
        replaced: sigma, their eigenvalue in `rest`. rest: R, (n, n).
        products: with A, for V and for R.
    """

    vectors: Tensor
    images: Tensor
    values: Tensor
    replaced: float
    rest: Tensor
    products: int

    @classmethod
    def of(cls, A: Tensor, count: int) -> Deflation:
        """Of a symmetric A, (n, n) float64 of positive diagonal.

        Args:
            count: vectors m, 0 < m < n.
        """
        basis, images = lanczos(lambda x: A @ x, len(A), min(len(A), 2 * count + MORE_STEPS))
        inner = basis.mT @ images
        theta, mix = torch.linalg.eigh((inner + inner.mT) / 2)
        mix = mix[:, -count:].flip(-1)
        V, W, values = basis @ mix, images @ mix, theta[-count:].flip(-1)
        sigma = float(A.diagonal().sum() - values.sum()) / (len(A) - count)
        half = (W - V * ((values + sigma) / 2)) @ V.mT
        return cls(V, W, values, sigma, A - half - half.mT, basis.shape[1] + count)

    def remainder(self, r: Tensor) -> Tensor:
        """What of a residual (n,) is left to the device."""
        return r - self.images @ ((self.vectors.mT @ r) / self.values)

    def composed(self, r: Tensor, reading: Tensor) -> Tensor:
        """About A^-1 r, (n,), from the device's reading of `remainder(r)`."""
        return reading + self.vectors @ ((self.vectors.mT @ r - self.images.mT @ reading) / self.values)

    @property
    def bytes(self) -> int:
        """Of V and W, which the host keeps with the program."""
        return 2 * self.vectors.nelement() * self.vectors.element_size()


def lanczos(product: Product, n: int, steps: int) -> tuple[Tensor, Tensor]:
    """Orthonormal basis Q of a Krylov space, (n, k), and A Q; k = `steps`, or fewer where the space is exhausted.

    With all earlier vectors orthogonalised against twice, so that no eigenvector comes in two copies.
    """
    start = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    basis, images = [start / start.norm()], []
    for _ in range(steps):
        image = product(basis[-1])
        images.append(image)
        known, new = torch.stack(basis, dim=1), image
        for _ in range(2):
            new = new - known @ (known.mT @ new)
        if len(images) == steps or not float(new.norm()) > 1e-12 * float(image.norm()):
            break
        basis.append(new / new.norm())
    return torch.stack(basis[: len(images)], dim=1), torch.stack(images, dim=1)
