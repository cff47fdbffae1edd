"""Heat of a program at rest, and where on the die it is made: that of each resistor, and its amplifiers'.

A resistor of conductance g with the voltage u across it makes g u^2 of heat at its place on the die. With v the cells' voltages at rest and
rails at +v/2 and -v/2, the summing nodes of an amplifier of gain A0 and offset Vos at +e/2 and -e/2, e = Vos - v / A0, and V the sources:

    passive coupling (i, j)   g (v_i + p v_j)^2 / 4 a rail    ground    g v_i^2 / 4 a rail      p = sign of A_ij
    crosspoint (i, j)         g (p v_j - e_i)^2 / 4 a rail    input     g (V_i + e_i)^2 / 4 a rail

(with one rail the same without the 4, an inverter's output n_j in place of -v_j, and its two resistors). Summed over all parts, a passive
program makes the power of its drive, sum_i I_i v_i over the number of rails (Tellegen); in a crossbar the amplifiers' outputs deliver the
rest. What amplifiers take from their supplies at rest, `OpAmp.power` each, they turn into heat at their own places, beside the resistors'.

This is the designer's analysis and solves A x = b to know the voltages. It must not be used on the path of a simulated device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...circuits.errors import InputError, UnrealisableError
from ...circuits.technology.die import Die
from ...circuits.technology.thermal import heat_at
from ..fabrics.registry import fabric_named, fabric_names
from ..matrices import dense, is_sparse, solver
from ..parts import Dissipation
from ..program import AnalogProgram


def equilibrium(program: AnalogProgram, b: Any) -> np.ndarray:
    """The solution at which a program's parts settle, (n,) in problem units: M x = b and the amplifiers' offsets.

    v = (K + L / A0)^-1 (drive * I + L Vos), x = d v / volts_per_unit. A designer's analysis: it solves the system.

    Raises:
        InputError: b does not fit. UnrealisableError: a fabric without a device model.
        numpy.linalg.LinAlgError, RuntimeError: the realised matrix is singular, dense or sparse.
    """
    require_resistors(program)
    parts, fabric = program.parts, program.fabric
    if fabric.has_linear_law:
        rest = fabric.at_rest(parts, program.technology)
        settled = np.linalg.solve(rest.matrix, rest.drive * program.currents(b) + rest.offset)
        return np.asarray(settled * program.readout_scale / program.volts_per_unit)
    realised = fabric.realised(parts, program.technology)
    currents = fabric.drive(parts) * program.currents(b)
    if fabric.active:
        currents = currents + program.behaviour.offset_currents(parts.offset, 1.0 / program.technology.opamp.gain)
    volts = solver(realised if is_sparse(realised) else dense(realised))(currents)
    return np.asarray(volts * program.readout_scale / program.volts_per_unit)


def dissipation(program: AnalogProgram, x: Any, b: Any) -> Dissipation:
    """Heat of each resistor, W, while the program rests at x under the drive b held constant.

    The rails of a pair are taken at +v/2 and -v/2; a mismatch of the two moves both, which changes the heat in second order only.
    Voltages are those at the program's `volts_per_unit`; no rail clips them.

    Args:
        program: with parts as they are (nominal, or of a die).
        x: (n,) solution in problem units: computed (`equilibrium`) or measured.
        b: (n,) right-hand side, problem units.

    Raises:
        InputError: x or b does not fit. UnrealisableError: a fabric without a device model.
    """
    require_resistors(program)
    volts = _vector("x", x, program.size) / program.readout_scale * program.volts_per_unit
    return program.parts.dissipation(volts, program.currents(b), program.technology.opamp.gain)


def heat_map(program: AnalogProgram, die: Die, x: Any, b: Any) -> np.ndarray:
    """Heat made in each cell of a die's grid, (cells, cells) in W: `dissipation` at the places that `program.on(die)` uses, and the
    amplifiers' (`Parts.amplifier_heat`).

    Unknown i is at (i + 1/2) / n: a coupling (i, j) at row i, column j, a resistor to ground on the diagonal, an input resistor, an
    inverter's and the amplifiers at the right edge.

    Args:
        program: with parts as they are; the die says only which grid. x, b: as in `dissipation`.
        die: whose technology's grid is used.

    Raises:
        InputError, UnrealisableError: as `dissipation`.
    """
    return np.asarray(
        resistor_heat(program, len(die.temperatures), dissipation(program, x, b)) + program.parts.amplifier_heat(die)
    )


def resistor_heat(program: AnalogProgram, cells: int, heat: Dissipation) -> np.ndarray:
    """Heat of the resistors in each cell of a die's grid, (cells, cells) in W; see `heat_map`.

    Args:
        program: whose parts they are. cells: along one side of the die. heat: of each resistor.
    """
    n = program.size
    place = (np.arange(n) + 0.5) / n
    found = (
        heat_at(cells, heat.coupling.sum(axis=0), *program.parts.coupling_places())
        + heat_at(cells, heat.ground.sum(axis=0), place, place)
        + heat_at(cells, heat.drive.sum(axis=0), place, np.ones(n))
    )
    if heat.inverter is None:
        return found
    return np.asarray(found + heat_at(cells, heat.inverter.sum(axis=0), place, np.ones(n)))


def require_resistors(program: AnalogProgram) -> None:
    """UnrealisableError where the heat of a fabric's parts has no place on a die."""
    if not program.fabric.has_device_model or program.fabric.has_inductors:
        known = ", ".join(name for name in fabric_names("has_device_model") if not fabric_named(name).has_inductors)
        raise UnrealisableError(
            f"fabric {program.fabric_name} has no resistors with places on a die; the heat is known for {known}"
        )


def _vector(name: str, values: Any, size: int) -> np.ndarray:
    try:
        vector = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a vector of real numbers: {error}") from None
    if vector.shape != (size,) or not np.isfinite(vector).all():
        raise InputError(f"{name} must hold {size} finite numbers, got shape {vector.shape}: {vector}")
    return vector
