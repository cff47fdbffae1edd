"""Overload of the amplifiers of an array: what their outputs use of their range, from the array's own voltages and currents.

Each output drives the conductance of its column, whose other ends are virtual grounds, and a cell's output its capacitor as well,

    i = G_col v / m + C dv/dt / m,      C dv/dt = drive I + L Vos - (K + L / A0) v,

m rails of 1 / m of a cell's voltage each; an inverter's output is as large as its cell's. What a stage makes of v and i is the law of
`circuits.amplifiers.output_stage`. Without a comparator within each amplifier a host would see none of it. With a layout, whose wires pass
on less, it is a bound.

Cells of second order swing to up to twice where they settle, and their velocities pass through their largest values long before a reading:
there every output is looked at along the whole run (`share_along`).
"""

from __future__ import annotations

import numpy as np

from ...circuits.amplifiers.output_stage import is_limited, share_of_limits
from ...circuits.technology.parts import OpAmp
from ...compiler.linear_law import Outputs
from ...compiler.program import AnalogProgram


def overload(program: AnalogProgram, cells: np.ndarray, currents: np.ndarray) -> np.ndarray | None:
    """The largest share of its range that any amplifier uses at an instant of reading; None where voltages alone show it.

    Args:
        program: on its die. cells: (runs, m, n) V. currents: (runs, n) A, differential.

    Returns:
        (runs,): above 1 an amplifier cannot hold its output.
    """
    parts, opamp, fabric = program.parts, program.technology.opamp, program.fabric
    if fabric.has_linear_law:
        linear = fabric.linear_law(parts, program.technology)
        # Of a circuit at ease with its outputs, as it is but for an amplifier's response.
        return None if linear.outputs is None else share_along(opamp, linear.outputs, cells @ linear.start.T, currents)
    if not is_limited(opamp):
        return None
    loads = [load for _, load in parts.amplifier_loads()]
    if not loads:
        return None
    law, leak = program.behaviour, 1.0 / opamp.gain
    into = law.drive * currents + law.offset_currents(parts.offset, leak)
    away = cells @ law.conductance.T + leak / law.ratios[0] * law.load * cells
    if law.inverters is not None:
        away = away + cells @ law.inverters.added(leak, 0.0, 0.0)[0].T
    charging = into[:, None] - away
    return largest_share(opamp, cells, np.stack(loads), charging, parts.rails)


def largest_share(
    opamp: OpAmp, cells: np.ndarray, loads: np.ndarray, charging: np.ndarray | float, rails: int
) -> np.ndarray:
    """As `overload`, (runs,), of outputs that are as large as the cells'.

    Args:
        cells: (runs, m, n) V. loads: (kinds, n) or (runs, kinds, n) S: of cells, then of inverters. charging: C dv/dt as cells, A.
    """
    used = np.zeros(len(cells))
    for k in range(loads.shape[-2]):
        drawn = cells * (loads[k] if loads.ndim == 2 else loads[:, None, k]) + (charging if k == 0 else 0.0)
        used = np.maximum(used, share_of_limits(opamp, cells, drawn / rails).max(axis=(1, 2)))
    return used


def share_along(opamp: OpAmp, outputs: Outputs, states: np.ndarray, currents: np.ndarray) -> np.ndarray:
    """The largest share of its range that any output uses at any of the instants of a run, (runs,): its voltage's, and what its load takes.

    Args:
        outputs: of the circuit's law. states: (runs, instants, m), instants so close that no swing is missed.
        currents: (runs, n) A, differential.
    """
    # The range of an amplifier of two outputs is that of their difference.
    volts = opamp.outputs * (states @ outputs.volts.T)
    used = np.abs(volts).max(axis=(1, 2)) / opamp.output_limit
    if is_limited(opamp):
        amperes = states @ outputs.amperes.T + (currents @ outputs.drive.T)[:, None]
        used = np.maximum(used, share_of_limits(opamp, volts, amperes).max(axis=(1, 2)))
    return np.asarray(used)
