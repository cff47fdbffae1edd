"""The knobs of the host: how a die is programmed and read, and how its readings are corrected."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from ....devicemodel.host.readout import ReadOut
from ....devicemodel.host.refine import METHODS, Refined
from .knob import SHARE, Allowed, Kind, Knob

_WHOLE = {"low": 0.0, "below": True}
_COUNT = {"low": 1.0, "below": True}
_POSITIVE = {"low": 0.0, "below": True}
SWITCH: dict[str, Any] = {}

_READOUT: dict[str, tuple[str, str, dict[str, Any], tuple[float | str, ...], str]] = {
    "reads": ("Reads of a run", "", _COUNT, (1, 2, 4, 8), "Conversions of each cell that are averaged, the first at the end of the run."),
    "interval": ("Time between reads", "tau", _POSITIVE, (),
        "Time from one read to the next, in which the circuit runs on; 0: one held voltage."),
    "auto_zero": ("Auto-zero", "", SWITCH, ("off", "on"), "Whether a reading without drive is subtracted."),
    "null_offsets": ("Nulled offsets", "", SWITCH, ("off", "on"),
        "Whether a bias drive that cancels the offsets is sought for each program."),
}  # fmt: skip
_REFINED: dict[str, tuple[str, str, dict[str, Any], tuple[float | str, ...], str]] = {
    "rounds": ("Rounds of refinement", "", _WHOLE, (0, 1, 2, 4, 8), "Corrections after the first reading, at most."),
    "tolerance": ("Tolerance of refinement", SHARE, {"low": 0.0, "high": 1.0, "above": True, "below": True, "optional": True},
                  (1e-3, 1e-2, 1e-1), "Residual |b - A x| / |b| at which the corrections stop; none: after the rounds alone."),
    "chopped": ("Chopped readings", "", SWITCH, ("off", "on"), "Whether a die is read at b and at -b."),
    "equilibrate": ("Equilibration", "", SWITCH, ("off", "on"), "Whether the matrix is programmed with a diagonal of ones."),
    "method": ("Method of refinement", "", {"choices": tuple(METHODS)}, tuple(METHODS),
        "Iteration of the corrections: Richardson's, or flexible conjugate gradients."),
    "added_damping": ("Added damping", "", _POSITIVE, (0.0, 0.01, 0.03, 0.1),
        "Damping of the programmed matrix alone, of ones on its diagonal."),
    "deflation": ("Deflated eigenvectors", "", _WHOLE, (0, 1, 2, 4),
        "Eigenvectors of the largest eigenvalues that are solved for digitally."),
    "program_every": ("Systems a program", "", _COUNT, (1, 2, 4, 8),
        "Of new systems every m-th is programmed, and those in between are refined with an earlier program."),
}  # fmt: skip
_NONE_BEFORE: dict[str, Kind] = {"rounds": "whole", "tolerance": "number"}
"""Kinds of arguments whose default is None."""


def host_knobs() -> dict[str, Knob]:
    """By name: arguments of `ReadOut` and `Refined`, what is programmed, and whether the die has wires."""
    others = (
        Knob(
            "programming.compensate_leak",
            "Compensated gain",
            "",
            Allowed("switch"),
            "host",
            "Whether the diagonal is programmed less what an amplifier of finite gain adds to it.",
            levels=("off", "on"),
        ),
        Knob(
            "programming.verified_cells",
            "Verified cells",
            "",
            Allowed("whole", 0.0, below=True),
            "host",
            "Cells n, of whose n x n crosspoints codes are chosen by what each was measured to hold; 0: none.",
        ),
        Knob(
            "programming.verify_levels",
            "Levels of the verification",
            "",
            Allowed("whole", 1.0, below=True),
            "host",
            "Drive levels at which each crosspoint is measured.",
            levels=(4, 16, 64),
        ),
        Knob(
            "programming.verify_programmings",
            "Programmings of the verification",
            "",
            Allowed("whole", 1.0, below=True),
            "host",
            "Programmings of each test matrix, over which write noise is averaged.",
            levels=(1, 2, 4),
        ),
        Knob(
            "device.layout",
            "Wires and switches",
            "",
            Allowed("switch"),
            "host",
            "Whether the array has its wires, switches and parasitic capacitances.",
            levels=("off", "on"),
        ),
    )
    found = {**_arguments("readout", ReadOut, _READOUT), **_arguments("refined", Refined, _REFINED)}
    return found | {one.name: one for one in others}


def _arguments(
    prefix: str, of: Callable[..., Any], table: dict[str, tuple[str, str, dict[str, Any], tuple[float | str, ...], str]]
) -> dict[str, Knob]:
    """The arguments of a class as knobs, each of the kind of its default."""
    found = {}
    for argument, (title, unit, limits, levels, meaning) in table.items():
        default = inspect.signature(of).parameters[argument].default
        kind = _NONE_BEFORE[argument] if default is None else kind_of(default)
        name, allowed = f"{prefix}.{argument}", Allowed(kind, **limits)
        log = kind == "number" and argument == "tolerance"
        found[name] = Knob(name, title, unit, allowed, "host", meaning, log, levels)
    return found


def kind_of(default: Any) -> Kind:
    """Of a knob whose value may be this one."""
    if isinstance(default, bool):
        return "switch"
    if isinstance(default, str):
        return "choice"
    return "whole" if isinstance(default, int) and math.isfinite(default) else "number"
