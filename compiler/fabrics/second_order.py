"""`SecondOrder`: what a report says of cells of second order: friction, how modes swing, and what finite amplifiers do to both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

CRITICAL = 9.2334
"""y at which (1 + y) exp(-y) is a thousandth: what is left of a mode of critical damping after so many of its time constants."""
MOVED = 0.05
"""Relative change by rounding that is worth a mention."""


@dataclass(frozen=True)
class SecondOrder:
    """Figures of one program's nominal circuit.

    Attributes:
        friction: gamma of the friction resistors, mean of the cells, 1/tau; 0 where there are none. total: with what finite gain adds.
            critical: that which damps the smallest eigenvalue of the matrix critically. realised: the same of the matrix that the parts
            make, which rounding has moved; nan: that has none.
        lowest_q, highest_q: quality |s| / (-2 Re s) of the slowest natural frequency, and of the fastest one.
        hertz: frequency of the fastest mode.
        kept: what decays the fastest mode over what its friction alone would, 1 with ideal amplifiers; negative: it grows.
        uncompensated: the same without the resistors in series with the positions' capacitors; None: there are none.
        series: mean of those, ohm.
        stiffening: largest conductance that finite gain adds to the matrix at rest, over its smallest eigenvalue.
        overshoot: largest voltage of a cell after a step from rest over the largest at which one settles: for one b, or for all, where
            either is for the worst. velocity: the largest of a velocity over the latter.
    """

    friction: float
    total: float
    critical: float
    realised: float
    lowest_q: float
    highest_q: float
    hertz: float
    kept: float
    uncompensated: float | None
    series: float
    stiffening: float
    overshoot: float
    velocity: float

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a report."""
        added = f", {self.total:.3g} with what finite gain adds" if self.total != self.friction else ""
        made = f"{self.friction:.3g} / tau by resistors" if self.friction else "none by resistors"
        moved = abs(self.realised / self.critical - 1) > MOVED
        rounded = f", {self.realised:.3g} that of the matrix as it is rounded" if moved else ""
        yield "friction", f"{made}{added}; {self.critical:.3g} / tau damps the slowest mode critically{rounded}"
        bare = (
            "" if self.uncompensated is None else f" (R_z of {self.series:.3g} ohm; {self.uncompensated:.3g} without)"
        )
        yield (
            "modes",
            f"the slowest has Q {self.lowest_q:.3g}, the fastest, {self.hertz:.3g} Hz, Q {self.highest_q:.3g}: it keeps "
            f"{self.kept:.3g} of its friction{bare}",
        )
        if self.stiffening:
            yield "stiffness", f"finite gain adds at most {self.stiffening:.3g} of the smallest eigenvalue"
        yield (
            "on the way",
            f"cells reach {max(self.overshoot, 1.0):.3g} times, velocities {self.velocity:.3g} times the largest voltage at which a cell "
            "settles",
        )

    def settled(self, slow_time: float) -> str:
        """Time to a thousandth, s, as the end of a sentence."""
        return f", about {CRITICAL * slow_time:.3g} s to 1e-3" if math.isfinite(slow_time) else ""
