"""What a technology's tolerances do to one solution, from die to die: its covariance, to first order.

With s_e the change of x with the logarithm of resistance e, and t_k that with the offset voltage of amplifier k, both by the adjoint
network of the netlist itself (`circuits.linear.dc_sensitivity`), finite gain, inverters and both rails included,

    Cov(x) = sum_e (mismatch^2 + p_e^2) s_e s_e^T + die_to_die^2 S_0 S_0^T + gradient^2 (S_r S_r^T + S_c S_c^T) + offset^2 sum_k t_k t_k^T

where p_e is what programming and reading make conductance e err by (`conductance_errors`), S_0 = sum_e s_e, and S_r, S_c are the sums
weighted by each part's row and column (`deviations`). Capacitors do not matter at rest; the temperature is the nominal one.
The second order, left out, is some kappa times the tolerance in relative terms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...circuits.errors import InputError, UnrealisableError
from ...circuits.linear.dc_sensitivity import DCSensitivity
from ...circuits.netlist.analyses import OperatingPoint
from ..program import AnalogProgram
from .deviations import deviations
from .offset_sources import with_offset_sources

LARGEST = 128
"""Unknowns up to which a report states the spread unasked: a second's work."""
_AT_ONCE = 5000


@dataclass(frozen=True, eq=False)
class DieSpread:
    """The solution of one right-hand side over dies, problem units.

    Attributes:
        nominal: (n,) that of the nominal netlist.
        covariance: (n, n) over dies, to first order.
        resistors, offsets: the relative rms errors that resistors and amplifiers' offsets make on their own.
    """

    nominal: np.ndarray
    covariance: np.ndarray
    resistors: float
    offsets: float

    @property
    def deviation(self) -> np.ndarray:
        """(n,) standard deviation of each unknown."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def relative_error(self) -> float:
        """rms over dies of |x - x_nominal| / |x_nominal|: sqrt(tr Cov(x)) / |x_nominal|."""
        return float(np.sqrt(np.trace(self.covariance)) / np.linalg.norm(self.nominal))


def die_spread(program: AnalogProgram, b: Any) -> DieSpread:
    """The spread over dies of the solution for b, (n,).

    Raises:
        UnrealisableError: a fabric without dies, or one that is not read at rest. InputError: b does not fit, or is zero.
    """
    if not isinstance(program.analysis(), OperatingPoint):
        raise UnrealisableError(
            f"fabric {program.fabric_name} is not read at rest: use die_yield for its errors over dies"
        )
    technology, resistors = program.technology, program.technology.resistors
    acting = deviations(program)
    netlist, _ = with_offset_sources(program, b)
    found = DCSensitivity(netlist, program.readouts)
    scale = program.readout_scale / program.volts_per_unit
    nominal = scale * found.volts
    if not nominal.any():
        raise InputError("b is zero, so that every die reads nothing but its amplifiers' offsets; give another b")
    names = [name for name, deviation in acting.items() if deviation.kind == "resistor"]
    places = np.array([[1.0, acting[name].row, acting[name].column] for name in names])
    weights = np.array([math.hypot(resistors.mismatch, acting[name].programming) for name in names])
    own, shared = np.zeros((program.size, program.size)), np.zeros((program.size, 3))
    for start in range(0, len(names), _AT_ONCE):
        some = scale[:, None] * found.of_resistors(names[start : start + _AT_ONCE])
        weighed = some * weights[start : start + _AT_ONCE]
        own += weighed @ weighed.T
        shared += some @ places[start : start + _AT_ONCE]
    shared *= np.array([resistors.die_to_die, resistors.gradient, resistors.gradient])
    by_resistors = own + shared @ shared.T
    offsets = [name for name, deviation in acting.items() if deviation.kind == "offset"]
    moved = technology.opamp.offset_mismatch * scale[:, None] * found.of_sources(offsets)
    by_offsets = moved @ moved.T
    size = float(np.linalg.norm(nominal))
    return DieSpread(
        nominal=nominal,
        covariance=by_resistors + by_offsets,
        resistors=float(np.sqrt(np.trace(by_resistors))) / size,
        offsets=float(np.sqrt(np.trace(by_offsets))) / size,
    )
