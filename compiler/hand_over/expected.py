"""The solution that a circuit is expected to hold at rest, and the tolerance that mismatch predicts of it.

With x_0 the solution of the nominal netlist and sigma_k the standard deviation of unknown k over dies (`analysis.die_spread`), a good
circuit has

    |x_k - x_0,k| <= z sigma_k + r max |x_0|      for all k, in a share `GOOD` of all good circuits,

z being the normal quantile of (1 - GOOD) / (2 n) (Bonferroni), so that correlation between unknowns makes the share larger, and r what a
simulator's own tolerance leaves.

A designer's analysis, which solves A x = b: not for the path of a simulated device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from ...circuits.errors import InputError, UnrealisableError
from ...circuits.linear.dc_sensitivity import DCSensitivity
from ...circuits.netlist.analyses import OperatingPoint
from ...circuits.netlist.netlist import Netlist
from ..analysis.die_spread import die_spread
from ..analysis.die_yield import varies
from ..matrices import solver
from ..program import AnalogProgram

GOOD = 0.999
"""Share of good circuits that the tolerance lets pass, at least."""
RESOLVED = 1e-4
"""Of the largest unknown: what a simulator's tolerances, and an amplifier beside its one-pole law, may make."""


@dataclass(frozen=True, eq=False)
class Expected:
    """Of one right-hand side; problem units, (n,) each.

    Attributes:
        exact: A^-1 b of the intended matrix.
        nominal: what the nominal netlist rests at: rounding and finite gain are in it.
        deviation: standard deviation over dies; zeros where none is known.
        tolerance: largest |x - nominal| of a good circuit.
        reason: why there is no deviation, in words; "": there is one.
        volts: problem units a volt between the nodes of a readout.
    """

    exact: np.ndarray
    nominal: np.ndarray
    deviation: np.ndarray
    tolerance: np.ndarray
    reason: str
    volts: np.ndarray

    @property
    def systematic_error(self) -> float:
        """|nominal - exact| / |exact|."""
        return float(np.linalg.norm(self.nominal - self.exact) / np.linalg.norm(self.exact))

    @property
    def relative_deviation(self) -> float:
        """rms over dies of |x - nominal| / |nominal|, to first order."""
        return float(np.linalg.norm(self.deviation) / np.linalg.norm(self.nominal))


def expected_solution(program: AnalogProgram, b: Any, nominal: np.ndarray | None = None) -> Expected:
    """See the module's docstring.

    Args:
        program: nominal, not on a die. b: (n,) right-hand side.
        nominal: (n,) x_0 of a circuit with other values than the program's; None: the program's.

    Raises:
        InputError: b does not fit, or is zero. UnrealisableError: a fabric that is not read at rest.
    """
    require_rest(program)
    drive = program.right_hand_side(b)
    if not drive.any():
        raise InputError("b is zero, so that nothing is expected of the circuit; give another b")
    scale = program.readout_scale / program.volts_per_unit
    nominal = solution_at_rest(program, program.netlist(drive)) if nominal is None else nominal
    deviation, reason = np.zeros(program.size), ""
    if not program.fabric.has_dies:
        reason = f"how parts vary is not modelled in fabric {program.fabric_name}"
    elif not varies(program):
        reason = f"technology {program.technology.name} states nothing that differs from die to die"
    else:
        deviation = die_spread(program, drive).deviation
    z = float(norm.isf((1 - GOOD) / (2 * program.size)))
    return Expected(
        exact=np.asarray(solver(program.target)(drive)),
        nominal=nominal,
        deviation=deviation,
        tolerance=z * deviation + RESOLVED * float(np.abs(nominal).max()),
        reason=reason,
        volts=scale,
    )


def require_rest(program: AnalogProgram) -> None:
    """UnrealisableError for a fabric without a solution at rest."""
    if not isinstance(program.analysis(), OperatingPoint):
        raise UnrealisableError(
            f"fabric {program.fabric_name} is not read at rest, and what is handed over has a solution at rest; use rc, dual_rail or "
            "crossbar"
        )


def solution_at_rest(program: AnalogProgram, netlist: Netlist) -> np.ndarray:
    """x that a linear netlist of this program's readouts holds at rest, (n,)."""
    volts = DCSensitivity(netlist, program.readouts).volts
    return np.asarray(volts * program.readout_scale / program.volts_per_unit)
