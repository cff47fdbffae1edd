"""`CellCoefficients`: what a program's parts contribute to the law of its cells, as on the schematic or with the layout in it.

With amplifiers' error eps(s) = 1 / A(s) every fabric that a device is modelled after obeys

    [s (C + K_1) + s eps (C + L_1) + K + eps L] v = drive I + L Vos + noise.

On the schematic L is diagonal and K_1 = L_1 = 0. With the layout K and L are those of `compiler.layout.effect` at rest, input resistors in
L, and K_1, L_1 what its parasitic capacitances add to first order in s: their time constants are taken to be far below tau.

The array is a passive network, so that by Nyquist's theorem its noise currents into the amplifiers' inputs, drivers at ground, have the
two-sided density 2 k T Re L a rail: exact at one temperature; at many, each row's own mean one is taken, sqrt(T_i T_j) between rows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.constants import Boltzmann

from ...compiler.layout.effect import effective_conductance
from ...compiler.layout.extraction import require_array
from ...compiler.program import AnalogProgram


@dataclass(frozen=True, eq=False)
class CellCoefficients:
    """SI units; see the module's docstring.

    Attributes:
        conductance: K, (n, n) S.
        load: L, (n, n) S; zeros in passive fabrics.
        drive: (n,) realised over nominal drive current.
        capacitance: C, (n, n) F, of the integrators alone.
        coupled_capacitance, load_capacitance: K_1 and L_1, (n, n) F.
        current_noise: (n, n) two-sided density of the differential noise currents, A^2/Hz.
        uncoupled: whether L and C are known to be diagonal, and K_1 and L_1 zero.
    """

    conductance: np.ndarray
    load: np.ndarray
    drive: np.ndarray
    capacitance: np.ndarray
    coupled_capacitance: np.ndarray
    load_capacitance: np.ndarray
    current_noise: np.ndarray
    uncoupled: bool = False


def schematic(program: AnalogProgram) -> CellCoefficients:
    """Coefficients of the schematic netlist."""
    law = program.behaviour
    nothing = np.zeros_like(law.conductance)
    return CellCoefficients(
        law.conductance,
        np.diag(law.load),
        law.drive,
        np.diag(law.capacitance),
        nothing,
        nothing,
        law.noise,
        uncoupled=True,
    )


def extracted(program: AnalogProgram) -> CellCoefficients:
    """Coefficients of the extracted netlist: wires, switches, parasitic capacitances and the DACs' outputs in them.

    Raises:
        UnrealisableError: a fabric without a layout.
    """
    coupled, load = effective_conductance(program)
    plain, parts, technology = schematic(program), require_array(program), program.technology
    inward = parts.drive.mean(axis=0)
    passed = 1.0 / (1.0 + technology.dac.resistance * inward)
    coupled_1, load_1 = _capacitances(program)
    full = load + np.diag(inward * passed)
    rails = parts.rails
    # The schematic's noise is 2 rails k sum(g T) a row: of one temperature a row, the conductances' mean.
    kelvin = np.diag(plain.current_noise) / (2 * rails * Boltzmann * np.diag(plain.load))
    return dataclasses.replace(
        plain,
        uncoupled=False,
        conductance=coupled,
        load=full,
        drive=plain.drive * passed,
        coupled_capacitance=coupled_1,
        load_capacitance=load_1 + technology.wires.input_capacitance * np.eye(program.size),
        current_noise=2 * rails * Boltzmann * np.sqrt(np.outer(kelvin, kelvin)) * (full + full.T) / 2,
    )


def _capacitances(program: AnalogProgram) -> tuple[np.ndarray, np.ndarray]:
    """dK/ds and dL/ds of the array at s = 0, (n, n) F: central differences, whose error is of third order in s times the wires' RC."""
    wires = program.technology.wires
    if wires.segment_capacitance == 0 and wires.crosspoint_capacitance == 0:
        return np.zeros((program.size, program.size)), np.zeros((program.size, program.size))
    s = 0.1 / program.tau
    above, below = effective_conductance(program, s), effective_conductance(program, -s)
    coupled, load = ((a - b) / (2 * s) for a, b in zip(above, below, strict=True))
    return coupled, load
