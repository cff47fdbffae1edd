"""The yield of the winner against what is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...circuits.errors import InputError
from ...optim.codesign.yields.die_yield import die_scores, yield_against_limit
from ...optim.codesign.yields.target import Target
from .result_file import CodesignFile


def threshold(result: CodesignFile) -> float | None:
    """The score that the target asks for: as the file states it, else read from the text.

    None for a text that is no `Target`, or one relative to a baseline that is not there.
    """
    if result.limit is not None:
        return result.limit
    try:
        target = Target.parse(result.target, [result.score])
        exact = result.baseline.exact_ngd
        return target.limit(float("nan") if exact is None else exact).value
    except InputError:
        return None


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
    known = [score for score in die_scores(scores) if np.isfinite(score)]
    known += [value for value in (threshold(result), result.baseline.exact_ngd) if value is not None]
    if not known:
        return None
    more = result.score.more_is_better is not False
    room = 0.08 * (max(known) - min(known)) or 0.01 * abs(known[0]) or 0.01
    places = sorted({min(known) - room, *known, max(known) + room})
    found = yield_against_limit(scores, places, more)
    return {
        "limits": places,
        "share": [one.fraction for one in found],
        "low": [one.low for one in found],
        "high": [one.high for one in found],
        "dies": dies,
        "seeds": scores.shape[1],
        "whose": "the winner" if result.winner is not None else "the last design tried",
    }
