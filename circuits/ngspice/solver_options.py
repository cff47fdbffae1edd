"""What our own runs add to an analysis' cards, and no text that leaves the package has.

A checked netlist is known to be linear or not. In a linear one a single solve is exact and Newton's test has nothing to decide; asked,
it fails on rounding noise at nodes that settle to zero, and cuts the time step for ever. With a diode in the circuit the same options
would accept whatever the first iteration finds.
"""

from __future__ import annotations

from ..netlist.analyses import Analysis, Transient
from ..netlist.semiconductors import NEWTON, TOLERANCES

#: Tolerances that every iteration passes. pivtol: the smallest pivot that counts; a small conductance is not singular.
_PASSING = "reltol=2 vntol=1"
_PIVOT = "pivtol=1e-30"


def solver_options(analysis: Analysis, linear: bool) -> str:
    """The `.options` card of a run, to stand after the analysis' own: of two ngspice takes the last (measured).

    Args:
        analysis: to be run.
        linear: whether every part of the netlist is.
    """
    words = [_PASSING if linear else "", _PIVOT]
    if isinstance(analysis, Transient) and analysis.noise:
        # One solver point per step: chgtol = 1 C silences the error control, minbreak drops the break point that `uic` sets at the first
        # argument of the card.
        words += [
            f"method=trap minbreak={1.5 * float(analysis.step or 0.0)!r} trtol=1e6 chgtol=1",
            "" if linear else NEWTON,
        ]
    elif isinstance(analysis, Transient):
        words.append(f"method=trap minbreak={analysis.shortest!r}")
        # Only the step control is wanted: its limit is trtol * reltol, with absolute floors: a node that symmetry keeps at zero must not
        # set the step.
        words.append(
            f"trtol={analysis.tolerance / 2!r} abstol={analysis.smallest_current!r} chgtol={analysis.smallest_charge!r}"
            if linear
            else TOLERANCES
        )
    elif not linear:
        words.append(TOLERANCES)
    return " ".join([".options", *filter(None, words)])
