"""`BlockMoments`: second moments of one long run by blocks, whose scatter says how far their mean is off.

Samples of one run are correlated, so that their number says little. Means over blocks that are longer than the correlation lasts are
independent of one another: their variance over their number is that of the mean of all (batch means: C. J. Geyer, Statistical Science
7:473, 1992). Blocks of a few correlation times underestimate it, by half of a correlation time over the block's length, of the error.
"""

from __future__ import annotations

import numpy as np


class BlockMoments:
    """Gram matrices of blocks of samples.

    Args:
        size: channels n.

    Attributes:
        lengths: samples of each block.
    """

    def __init__(self, size: int) -> None:
        self.lengths: list[int] = []
        self._sums: list[np.ndarray] = []
        self._grams: list[np.ndarray] = []
        self._size = size

    def add(self, volts: np.ndarray) -> None:
        """A block of samples, (m, n)."""
        self.lengths.append(len(volts))
        self._sums.append(volts.sum(axis=0))
        self._grams.append(volts.T @ volts)

    @property
    def samples(self) -> int:
        """Number of samples of all blocks."""
        return sum(self.lengths)

    @property
    def mean(self) -> np.ndarray:
        """Mean of all samples, (n,): the channels' offsets, where the mean is known to be zero."""
        return np.asarray(np.sum(self._sums, axis=0) / self.samples)

    def covariances(self) -> np.ndarray:
        """Covariance matrix of each block about the mean of all samples, (K, n, n)."""
        mean, lengths = self.mean, np.array(self.lengths, dtype=float)[:, None, None]
        means = np.array(self._sums) / lengths[:, :, 0]
        crossed = means[:, :, None] * mean
        return np.asarray(np.array(self._grams) / lengths - crossed - crossed.swapaxes(1, 2) + np.outer(mean, mean))


def mean_and_error(values: np.ndarray, lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of block values (K, ...), weighted by the blocks' lengths, and its standard error; of two blocks or more."""
    weights = np.array(lengths, dtype=float).reshape(-1, *[1] * (values.ndim - 1))
    total = weights.sum()
    mean = (weights * values).sum(axis=0) / total
    # Of a block the variance goes as 1 / length.
    variance = (weights * (values - mean) ** 2).sum(axis=0) / (len(values) - 1)
    return np.asarray(mean), np.asarray(np.sqrt(variance / total))
