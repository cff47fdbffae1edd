"""What the load of an array takes of its amplifiers' gain, and so of the solution.

An amplifier of gain A0 and output resistance R_o at each of its outputs, which drives G siemens there, holds its output v with an input
of -v (1 + R_o G) / A0: the source behind R_o is by R_o G larger than v. With L the conductance at each amplifier's input cells rest at

    [K + diag(L (1 + R_o G) / A0)] v = I

which is `Fabric.realised` for R_o = 0. Inverters lose gain likewise, by the most loaded one's R_o G.
"""

from __future__ import annotations

import numpy as np

from ...circuits.amplifiers.models import IDEAL_GAIN
from ..matrices import dense, scaled
from ..program import AnalogProgram


def loaded_matrix(program: AnalogProgram) -> np.ndarray:
    """`AnalogProgram.emitted_matrix` with what the output resistance takes of the gain, (n, n) in problem units.

    Of fabrics without amplifiers, and of those that have no first-order law, it is the emitted matrix.
    """
    opamp, fabric, emitted = program.technology.opamp, program.fabric, dense(program.emitted_matrix)
    if not (fabric.active and fabric.has_device_model) or fabric.has_linear_law or not opamp.output_resistance:
        return emitted
    law, leak = program.behaviour, 1.0 / min(opamp.gain, IDEAL_GAIN)
    cells, *others = (opamp.output_resistance * load for _, load in program.parts.amplifier_loads())
    lost = np.diag(leak * law.load * cells)
    if law.inverters is not None and others:
        worst = float(others[0].max())
        lost = lost + law.inverters.added(leak * (1 + worst), 0.0, 0.0)[0] - law.inverters.added(leak, 0.0, 0.0)[0]
    driven = fabric.drive(program.parts) * program.scaling * program.conductance_unit
    return np.asarray(emitted + scaled(lost, 1.0 / driven, 1.0 / program.scaling))
