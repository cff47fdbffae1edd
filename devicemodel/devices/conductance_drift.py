"""Drift of programmed conductances with the time since they were programmed.

    ln G(t) = ln G(0) - nu ln(1 + t / t_0),      nu = conductance_drift + conductance_drift_spread z

with a standard normal z for each part, the die's own: a power of time for t >> t_0, as reported of phase-change cells
(M. Le Gallo et al., Advanced Electronic Materials 4:1700627, 2018; V. Joshi et al., Nature Communications 11:2473, 2020).
Programming starts the clock anew. Couplings and resistors to ground are programmed; input resistors,
those of inverters and capacitors are not and keep their value.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ...circuits.technology.die import Die
from ...compiler.program import AnalogProgram


def aged(program: AnalogProgram, die: Die, seconds: float) -> AnalogProgram:
    """A program on its die as it is `seconds` >= 0 after programming."""
    resistors, parts = program.technology.resistors, program.parts
    if seconds == 0 or (resistors.conductance_drift == 0 and resistors.conductance_drift_spread == 0):
        return program
    elapsed = np.log1p(seconds / resistors.conductance_drift_time)

    def left(z: np.ndarray) -> np.ndarray:
        return np.exp(-(resistors.conductance_drift + resistors.conductance_drift_spread * z) * elapsed)

    return dataclasses.replace(program, parts=parts.aged(die, left))
