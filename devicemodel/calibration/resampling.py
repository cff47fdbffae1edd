"""Intervals of figures of few systems on fewer dies: a bootstrap that draws systems and dies anew, each apart from the other.

Readings of one system, and systems of one die, err together, so that neither counts as independent. A draw takes systems and dies with
replacement, and a system on a die as often as the product of both: the spread is that of both causes, and rather too large than too small.
With m systems the percentiles are those of Student's t with m - 1 degrees of freedom and of a spread larger by sqrt(m / (m - 1)),
Phi(-t sqrt(m / (m - 1))), since the spread of a sample is smaller than that of what it was taken from.

(A. B. Owen, Ann. Appl. Stat. 1:386, 2007; percentiles: T. Hesterberg, Am. Stat. 69:371, 2015.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Array = NDArray[np.float64]

DRAWS = 2000


def interval(
    figure: Callable[[Array], Array], systems: Sequence[Hashable], dies: Sequence[Hashable], level: float = 0.95
) -> tuple[float, float] | None:
    """Confidence interval of a figure of several runs; None: fewer than two systems, or no draw of which the figure exists.

    Args:
        figure: from weights (draws, runs) >= 0, how often each run counts, to the figures (draws,), nan where there is none.
        systems, dies: of each run.
    """
    count = len(set(systems))
    if count < 2:
        return None
    rng = np.random.default_rng(5)
    weights = _weights(systems, rng) * _weights(dies, rng)
    found = figure(weights[weights.sum(axis=1) > 0])
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    tail = float(ndtr(stdtrit(count - 1, (1 - level) / 2) * math.sqrt(count / (count - 1))))
    low, high = np.quantile(found, (tail, 1 - tail)).tolist()
    return low, high


def _weights(labels: Sequence[Hashable], rng: np.random.Generator) -> Array:
    """How often each row's label is drawn, (draws, rows)."""
    numbers = {label: k for k, label in enumerate(dict.fromkeys(labels))}
    drawn = rng.multinomial(len(numbers), np.full(len(numbers), 1 / len(numbers)), size=DRAWS)
    return np.asarray(drawn[:, [numbers[label] for label in labels]], dtype=float)
