"""What an optimizer says once, in its first step, of how it takes a model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from torch import Tensor

from ..curvature.batch_statistics import BatchStatistics


def warn_of_rows(fallbacks: Sequence[int], parameters: Sequence[Tensor]) -> None:
    """Rows cost time and memory."""
    shapes = ", ".join(str(tuple(parameters[i].shape)) for i in fallbacks[:4]) + (", ..." if len(fallbacks) > 4 else "")
    warnings.warn(
        f"{len(fallbacks)} parameters are in no layer with a direct form ({shapes}): their rows of the Jacobian are written out, "
        "a number for each source and entry, and take a backward pass each where rows of samples cannot be told apart in the graph "
        "(optimizer.last.fallbacks has their positions)",
        stacklevel=4,
    )


def warn_of_statistics(statistics: BatchStatistics) -> None:
    """The curvature is that of the model with the statistics of this batch as constants."""
    if statistics.modules:
        kinds = ", ".join(sorted(set(statistics.modules)))
        warnings.warn(
            f"{kinds} in training mode: the curvature holds the batch's means and variances constant, the gradient is exact; steps go too "
            "far at a small damping, but for KFAC's (docs/curvature.md)",
            stacklevel=5,
        )
