"""`CellCoefficients`: what a program's parts contribute to the law of its cells, as on the schematic or with the layout in it.

With amplifiers' error eps(s) = 1 / A(s) every fabric that a device is modelled after obeys

    [s (C + K_1) + s eps (C + L_1) + K + eps L] v = drive I + L Vos + noise.

On the schematic L is diagonal and K_1 = L_1 = 0. With the layout K and L are those of `compiler.layout.effect` at rest, input resistors in
L, and K_1, L_1 what its parasitic capacitances add to first order in s: their time constants are taken to be far below tau.

The array is a passive network, so that by Nyquist's theorem its noise currents into the amplifiers' inputs, drivers at ground, have the
two-sided density 2 k T Re L a rail: exact at one temperature; at many, each row's own mean one is taken, sqrt(T_i T_j) between rows.

Inverters of a single-ended array are states of their own, whose gains (`compiler.inverters`) add to all coefficients. K is that with ideal
ones. With the layout their outputs drive column lines of their own; what these lines' capacitances and the inverters' input capacitances
add to the inverters' own lag is left out.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.constants import Boltzmann

from ...compiler.inverters import Inverters
from ...compiler.layout.effect import line_conductances
from ...compiler.layout.extraction import require_array
from ...compiler.program import AnalogProgram


@dataclass(frozen=True, eq=False)
class CellCoefficients:
    """SI units; see the module's docstring.

    Attributes:
        conductance: K, (n, n) S, with ideal inverters.
        load: L, (n, n) S; zeros in passive fabrics.
        drive: (n,) realised over nominal drive current.
        capacitance: C, (n, n) F, of the integrators alone.
        coupled_capacitance, load_capacitance: K_1 and L_1, (n, n) F.
        current_noise: (n, n) two-sided density of the differential noise currents, A^2/Hz; without the inverters'.
        uncoupled: whether L and C are known to be diagonal, and K_1 and L_1 zero.
        inverters: with what the cells draw from them; None: there are none.
        ratios: gain and gain-bandwidth product of the cells' amplifiers over the technology's, (2, n) or (2, 1): what they make of eps
            concerns the columns of C, L, and L_1.
    """

    conductance: np.ndarray
    load: np.ndarray
    drive: np.ndarray
    capacitance: np.ndarray
    coupled_capacitance: np.ndarray
    load_capacitance: np.ndarray
    current_noise: np.ndarray
    uncoupled: bool = False
    inverters: Inverters | None = None
    ratios: np.ndarray = dataclasses.field(default_factory=lambda: np.ones((2, 1)))


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
        inverters=law.inverters,
        ratios=law.ratios,
    )


def extracted(program: AnalogProgram) -> CellCoefficients:
    """Coefficients of the extracted netlist: wires, switches, parasitic capacitances and the DACs' outputs in them.

    Raises:
        UnrealisableError: a fabric without a layout.
    """
    lines, load = line_conductances(program)
    plain, parts, technology = schematic(program), require_array(program), program.technology
    inward = parts.drive.mean(axis=0)
    passed = 1.0 / (1.0 + technology.dac.resistance * inward)
    lines_1, load_1 = _capacitances(program)
    inverters = plain.inverters and dataclasses.replace(plain.inverters, coupling=lines[1])
    coupled, coupled_1 = (_with_inverters(one, inverters) for one in (lines, lines_1))
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
        inverters=inverters,
    )


def _with_inverters(lines: list[np.ndarray], inverters: Inverters | None) -> np.ndarray:
    """What all families of column lines pass on together, with ideal inverters."""
    return lines[0] if inverters is None else lines[0] - lines[1] * inverters.ratio


def _capacitances(program: AnalogProgram) -> tuple[list[np.ndarray], np.ndarray]:
    """dK_f/ds and dL/ds of the array at s = 0, (n, n) F: central differences, whose error is of third order in s times the wires' RC."""
    wires, size, families = program.technology.wires, program.size, 3 - program.parts.rails
    if wires.segment_capacitance == 0 and wires.crosspoint_capacitance == 0:
        return [np.zeros((size, size))] * families, np.zeros((size, size))
    s = 0.1 / program.tau
    (above, upper), (below, lower) = line_conductances(program, s), line_conductances(program, -s)
    return [(a - b) / (2 * s) for a, b in zip(above, below, strict=True)], (upper - lower) / (2 * s)
