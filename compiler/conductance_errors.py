"""How programmed conductances err beyond the die's mismatch: a fixed pattern, what each programming is off by, and what fluctuates.

A cell that was given a code of nominal conductance G, as the die has it (mismatch, gradient, temperature), holds

    G_w = max(0, G_die (1 + relative_write_noise w) + G_max (range_error z + write_noise w'))

after a programming, with G_max = 1/unit the largest conductance (of its slice), z the die's own and w, w' drawn anew at every programming;
and in a run, after its drift,

    G_run = G_w drift max(0, 1 + read_noise r),

with r drawn anew for each run and constant during it. All are standard normal and independent from part to part. No conductance is below 0:
what a draw would take below is clipped there, which adds a mean of up to 0.4 standard deviations to the smallest ones. A part that a code
leaves out is disconnected by its switch and has no error. Input resistors, those of inverters and capacitors are not programmed.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from ..circuits.technology.die import Die
from ..circuits.technology.parts import PROGRAMMING_ERRORS, Resistors
from ..circuits.technology.redraw import Redraw
from .parts import Parts, Place
from .perturbation import Programmed

P = TypeVar("P", bound=Parts)


def written(parts: P, die: Die, writing: Redraw | None) -> P:
    """Parts on their die as a programming leaves them.

    Args:
        parts: as the die has them, of nominal codes.
        writing: the programming; None: without write noise, the fixed pattern alone.
    """
    resistors = die.technology.resistors
    if not (resistors.range_error or writing_errs(resistors)):
        return parts

    def change(values: np.ndarray, place: Place) -> np.ndarray:
        error, share = errors(resistors, place, die, writing)
        held = values if share is None else values * share
        return np.where(values > 0, np.maximum(held + error, 0.0), 0.0)

    return parts.change_programmed(change)


def errors(
    resistors: Resistors, place: Place, die: Die, writing: Redraw | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """What is added to the conductances at a place, S, and what they are multiplied by before; None: by 1."""
    full, error, share = full_conductance(resistors, place.kind), np.zeros(()), None
    if resistors.range_error:
        error = error + full * resistors.range_error * place.drawn(die, "range_error")
    if writing is not None and resistors.write_noise:
        error = error + full * resistors.write_noise * place.drawn(writing, "write_noise")
    if writing is not None and resistors.relative_write_noise:
        share = 1.0 + resistors.relative_write_noise * place.drawn(writing, "relative_write_noise")
    return error, share


def fluctuating(parts: P, resistors: Resistors, run: Redraw) -> P:
    """Written parts as they are during a run."""
    if not resistors.read_noise:
        return parts
    return parts.change_programmed(lambda values, place: values * fluctuation(resistors, place, run))


def fluctuation(resistors: Resistors, place: Place, run: Redraw) -> np.ndarray:
    """Factor of the conductances at a place during a run."""
    return np.maximum(1.0 + resistors.read_noise * place.drawn(run, "read_noise"), 0.0)


def places_of(parts: Parts) -> list[tuple[Place, tuple[int, ...]]]:
    """Where the programmed conductances are, kind by kind, and the shape of their record."""
    found: list[tuple[Place, tuple[int, ...]]] = []

    def seen(values: np.ndarray, place: Place) -> np.ndarray:
        found.append((place, values.shape))
        return values

    parts.change_programmed(seen)
    return found


def relative_error(resistors: Resistors, kind: Programmed, conductance: np.ndarray) -> np.ndarray:
    """Standard deviation of all these errors together in one run, over the conductances (S, > 0): to first order, without clipping."""
    absolute = full_conductance(resistors, kind) * np.hypot(resistors.range_error, resistors.write_noise)
    share = np.hypot(resistors.relative_write_noise, resistors.read_noise)
    return np.asarray(np.hypot(absolute / conductance, share))


def full_conductance(resistors: Resistors, kind: Programmed) -> float:
    """The largest conductance that parts of a kind can be programmed to, S."""
    return 1.0 / (resistors.unit * (2.0 ** (resistors.bits or 0) if kind == "second_slice" else 1.0))


def writing_errs(resistors: Resistors) -> bool:
    """Whether a programming holds other values each time."""
    return bool(resistors.write_noise or resistors.relative_write_noise)


def errs(resistors: Resistors) -> bool:
    """Whether programmed conductances have any of these errors."""
    return any(getattr(resistors, name) for name in PROGRAMMING_ERRORS)
