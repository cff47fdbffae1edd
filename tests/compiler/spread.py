"""Programs whose tolerances matter, and the statistic by which solutions over dies are held against a predicted spread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thermograd.circuits.technology.parts import PROGRAMMING_ERRORS, Thermal
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.program import AnalogProgram

from ..systems import passive, spd

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dual_rail": ("dual_rail", "breadboard", {}),
    "rc": ("rc", "breadboard", {}),
    "breadboard array": ("crossbar_single", "breadboard", {}),
    # A crossbar is in "written array".
    "integrated array": ("oscillator", "integrated", {}),
    "written array": ("crossbar", "integrated", {f"resistors__{name}": 0.006 for name in PROGRAMMING_ERRORS}),
    "written network": (
        "dual_rail",
        "breadboard",
        {
            "resistors__series": None,
            "resistors__bits": 12,
            "resistors__range_error": 4e-3,
            "resistors__write_noise": 4e-3,
        },
    ),
    "two slices": ("crossbar", "integrated", {"resistors__slices": 2, "resistors__drive_ranges": 6}),
}
UNKNOWNS = 5
LEAST, LARGEST = -4.0, 4.0


def program_of(case: str, scale: float = 1.0, shared: bool = False) -> tuple[AnalogProgram, np.ndarray]:
    """A program and a right-hand side; all tolerances times `scale`, with die-to-die variation and gradient where `shared`."""
    fabric, name, changes = CASES[case]
    technology, n = preset(name).replace(**changes), UNKNOWNS
    technology = technology.replace(
        thermal=Thermal(),
        resistors__tolerance=scale * technology.resistors.tolerance,
        resistors__die_to_die=scale * 0.01 if shared else 0.0,
        resistors__gradient=scale * 0.02 if shared else 0.0,
        opamp__offset=scale * technology.opamp.offset,
        opamp__power=0.0,  # a die as warm as its surroundings
        **{f"resistors__{error}": scale * getattr(technology.resistors, error) for error in PROGRAMMING_ERRORS},
    )
    matrix = passive(n, 0.3, 1) if fabric in ("rc", "dual_rail") else spd(n, 5.0, 1)
    if fabric == "rc":
        matrix = np.diag(np.abs(np.diag(matrix))) - np.abs(matrix - np.diag(np.diag(matrix)))
    b = np.random.default_rng(2).standard_normal(n)
    # Of several input resistors this small drive takes a large one.
    return compile_matrix(matrix, fabric, technology, b=b / 20 if case == "two slices" else None), b / (
        20 if case == "two slices" else 1
    )


def spread_z(solutions: np.ndarray, nominal: np.ndarray, covariance: np.ndarray) -> float:
    """Standard errors by which the mean of |x - x_nominal|^2 over dies, (dies, n), is off tr Cov(x).

    Of a normal deviate of covariance S, |x|^2 has the mean tr S and the variance 2 tr S^2.
    """
    square = ((solutions - nominal) ** 2).sum(axis=1)
    error = math.sqrt(2.0 * float(np.trace(covariance @ covariance)) / len(square))
    return (float(square.mean()) - float(np.trace(covariance))) / error
