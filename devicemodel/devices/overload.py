"""Overload of the amplifiers of an array: what their outputs use of their range, from the array's own voltages and currents.

Each output drives the conductance of its column, whose other ends are virtual grounds, and a cell's output its capacitor as well,

    i = G_col v / m + C dv/dt / m,      C dv/dt = drive I + L Vos - K v,

m rails of half a differential voltage each. What a stage makes of v and i is the law of `circuits.amplifiers.output_stage`. Without a
comparator within each amplifier a host would see none of it. With a layout, whose wires pass on less, it is a bound.
"""

from __future__ import annotations

import numpy as np

from ...circuits.amplifiers.output_stage import is_limited, share_of_limits
from ...compiler.program import AnalogProgram


def overload(program: AnalogProgram, cells: np.ndarray, currents: np.ndarray) -> np.ndarray | None:
    """The largest share of its range that any amplifier uses at an instant of reading; None where voltages alone show it.

    Args:
        program: on its die. cells: (runs, m, n) V. currents: (runs, n) A, differential.

    Returns:
        (runs,): above 1 an amplifier cannot hold its output.
    """
    parts, opamp = program.parts, program.technology.opamp
    if not is_limited(opamp):
        return None
    loads = parts.amplifier_loads()
    if not loads:
        return None
    law = program.behaviour
    into = law.drive * currents + law.load * parts.offset
    charging = into[:, None] - cells @ law.conductance.T
    used = np.zeros(len(cells))
    for k, (stage, load) in enumerate(loads):
        volts = cells if stage is None else cells @ stage.T
        amperes = (load * volts + (charging if k == 0 else 0.0)) / parts.rails
        used = np.maximum(used, share_of_limits(opamp, volts, amperes).max(axis=(1, 2)))
    return used
