"""The yield of the winner against what is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import binomtest

from ...circuits.errors import InputError
from .result_file import CodesignFile


def threshold(result: CodesignFile) -> float | None:
    """The score that the target asks for, where the file states it."""
    return result.limit


def yield_curve(result: CodesignFile) -> dict[str, Any] | None:
    """The share of the winner's dies that reach a score, for scores around those found; None where no die was confirmed.

    Without a winner the dies are those of the last design that was tried on more.

    A curve steps at each die's own score; limits are those scores, the target, exact NGD, and a little beyond both ends.
    """
    confirmed = result.confirmation
    if confirmed is None or not confirmed.scores:
        return None
    rows = [one if isinstance(one, tuple) else (one,) for one in confirmed.scores]
    flat = [np.nan if value is None else value for row in rows for value in row]
    dies = len(confirmed.dies) or len(rows)
    if len(flat) % dies or any(len(row) != len(rows[0]) for row in rows):
        raise InputError(
            f"confirmation has {len(flat)} scores of {dies} dies: give the same number of seeds for each die"
        )
    scores = np.array(flat, dtype=float).reshape(dies, -1)
    known = [score for score in scores.mean(axis=1) if np.isfinite(score)]
    known += [value for value in (threshold(result), result.baseline.exact_ngd) if value is not None]
    if not known:
        return None
    more = result.score.more_is_better is not False
    room = 0.08 * (max(known) - min(known)) or 0.01 * abs(known[0]) or 0.01
    places = sorted({min(known) - room, *known, max(known) + room})
    means = scores.mean(axis=1)  # a die with a training that diverged reaches nothing
    met = [int(np.sum(means >= place if more else means <= place)) for place in places]
    intervals = [binomtest(count, dies).proportion_ci(method="exact") for count in met]
    return {
        "limits": [float(place) for place in places],
        "share": [count / dies for count in met],
        "low": [float(interval.low) for interval in intervals],
        "high": [float(interval.high) for interval in intervals],
        "dies": dies,
        "seeds": scores.shape[1],
        "whose": "the winner" if result.winner is not None else "the last design tried",
    }
