"""How well a card predicts what it was not fitted to: SPICE's errors against the surrogate's, system by system."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...circuits.technology.redraw import Redraw
from ..card import DeviceCard
from ..devices.surrogate import SurrogateDevice
from ..held_out import HeldOut
from .cases import Case
from .port_runs import PortRun, port_errors
from .resampling import interval
from .saturated import Simulated


@dataclass(frozen=True)
class Comparison:
    """A held-out case: error vectors x - A^-1 b of SPICE and surrogate, relative to |A^-1 b|, (n,) each; of what is run by its ports
    (`port_runs`), deviations from the nominal circuit's voltages."""

    case: Case
    spice: np.ndarray
    surrogate: np.ndarray
    new_die: bool


@dataclass(frozen=True)
class Calibration:
    """A card, the held-out comparisons behind its figures, and what SPICE read for each of them."""

    card: DeviceCard
    comparisons: tuple[Comparison, ...]
    held: tuple[Simulated, ...] = ()


def compare(case: Case, found: Simulated, card: DeviceCard, new_die: bool) -> Comparison:
    """A held-out case, and what SPICE read of it, on a surrogate of the card."""
    x, run = found
    if isinstance(run, PortRun):
        return Comparison(case, *port_errors(run, card), new_die)
    # The noise must not be SPICE's own draw; and what is held out decides the range of validity, so that there is none yet.
    device = _Alike(card, case.die, seed=1, extrapolate=True)
    predicted = device.solve(case.system, torch.from_numpy(case.b), case.duration).x.numpy()
    scale = float(np.linalg.norm(case.solution))
    return Comparison(case, (x - case.solution) / scale, (predicted - case.solution) / scale, new_die)


class _Alike(SurrogateDevice):
    """With the errors of programming of a device of noise seed 0, which the fit knows, too (`fitting.on_die`)."""

    def _redraw(self, number: int) -> Redraw:
        return Redraw(0, self.die.seed, number)


def explained_variance(comparisons: Sequence[Comparison]) -> float:
    """1 - sum |e_spice - e_surrogate|^2 / sum |e_spice - mean(e_spice)|^2 over the comparisons; nan: nothing to explain; see `HeldOut`."""
    found = [_squares(item) for item in comparisons]
    left, total = sum(one[0] for one in found), sum(one[2] for one in found)
    return 1.0 - left / total if total > 0 else math.nan


def summarised(comparisons: Sequence[Comparison]) -> HeldOut:
    """The figures of merit that the card records, with their intervals."""
    old, new = ([item for item in comparisons if item.new_die is which] for which in (False, True))
    left, seen, varied = (np.array(column) for column in zip(*map(_squares, comparisons), strict=True))
    fresh = np.array([item.new_die for item in comparisons])
    figures: dict[str, tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]] = {
        "explained_variance": (~fresh, lambda w: 1 - _ratio(w @ left[~fresh], w @ varied[~fresh])),
        "explained_variance_new_dies": (fresh, lambda w: 1 - _ratio(w @ left[fresh], w @ varied[fresh])),
        "spice_error": (np.ones_like(fresh), lambda w: np.sqrt(_ratio(w @ seen, w.sum(axis=1)))),
        "residual": (np.ones_like(fresh), lambda w: np.sqrt(_ratio(w @ left, w.sum(axis=1)))),
    }
    intervals = {}
    for name, (rows, figure) in figures.items():
        chosen = [item for item, row in zip(comparisons, rows, strict=True) if row]
        # A system is known by its contents: a case of a later run has a copy of the matrix.
        systems = [item.case.matrix.tobytes() + item.case.b.tobytes() for item in chosen]
        if (found := interval(figure, systems, [item.case.die for item in chosen])) is not None:
            intervals[name] = found
    return HeldOut(
        systems=len(comparisons),
        explained_variance=explained_variance(old),
        explained_variance_new_dies=explained_variance(new),
        spice_error=float(np.sqrt(seen.mean())),
        residual=float(np.sqrt(left.mean())),
        intervals=intervals,
    )


def _squares(item: Comparison) -> tuple[float, float, float]:
    """|e_spice - e_surrogate|^2, |e_spice|^2 and |e_spice - mean|^2."""
    parts = item.spice - item.surrogate, item.spice, item.spice - item.spice.mean()
    left, seen, varied = (float(part @ part) for part in parts)
    return left, seen, varied


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(above.shape, math.nan), where=below > 0)
