"""What a process offers: transistors, resistors and capacitors, each by its model's name and by the coefficients of its law.

The coefficients are those of the foundry's model files, or published ones where `source` says so; the laws here are what a designer
computes by hand, and what ngspice's answer is held against (`tests/circuits/technology/pdk`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .pelgrom import Pelgrom

SourceKind: TypeAlias = Literal["foundry", "published"]
"""Whether a figure stands in the installed model files, or is somebody else's."""


@dataclass(frozen=True)
class ProcessTransistor:
    """A MOS transistor of a process: a part ``M...`` of its own binned BSIM4 model.

    Attributes:
        model: the model's name in the foundry's files. kind: NMOS or PMOS.
        min_length, max_length, min_width, max_width: that the model's bins cover, m.
        pelgrom: its mismatch, which a netlist carries as the instance parameters ``delvto`` (V) and ``mulu0`` (factor).
        mismatch_kind: whether that stands in the installed files.
    """

    model: str
    kind: Literal["NMOS", "PMOS"]
    min_length: float
    max_length: float
    min_width: float
    max_width: float
    pelgrom: Pelgrom
    mismatch_kind: SourceKind


@dataclass(frozen=True)
class ProcessResistor:
    """A resistor of a process.

        R(T) = R_s (L_eff / W_eff) (1 + TC1 dT + TC2 dT^2) + 2 (R_e / W_eff) (1 + TC1_e dT + TC2_e dT^2)

    with W_eff = W - width_offset, L_eff = L - length_offset, dT = T - reference.

    Attributes:
        model: name in the foundry's files; `simulated` is False where the installed files lack it.
        letter: of its parts, X for a sub-circuit, R for a resistor's model. substrate: whether it has a third node, the one beneath it.
        width_parameter, length_parameter: names of an instance's parameters, in m.
        sheet: R_s, ohm. end: R_e of each end, ohm m. width_offset, length_offset: m.
        tc1, tc2, end_tc1, end_tc2: 1/K, 1/K^2. reference: K.
        voltage: R's relative change per volt and per volt^2.
        flicker, flicker_exponent: K and a of the 1/f noise current S_I = K I^a / (W_eff L_eff f), A^2/Hz; 0: none stated.
        substrate_capacitance: F/m^2.
        min_width: m.
        corners: sheet resistance by corner (tt, ss, ff), ohm.
        spread: standard deviation over dies of ln R_s. statistic: the model files' parameter for it.
        statistic_sigma: that parameter's value for one standard deviation.
        pelgrom_coefficient: A_R of a pair, m (1 % um is 1e-8): sd(ln R_1/R_2) = A_R / sqrt(W L).
        source, mismatch_source, mismatch_kind: where the figures are from.
    """

    model: str
    letter: Literal["X", "R"]
    substrate: bool
    width_parameter: str
    length_parameter: str
    sheet: float
    end: float
    width_offset: float
    length_offset: float
    tc1: float
    tc2: float
    end_tc1: float
    end_tc2: float
    reference: float
    voltage: tuple[float, float]
    flicker: float
    flicker_exponent: float
    substrate_capacitance: float
    min_width: float
    corners: Mapping[str, float]
    spread: float
    statistic: str
    statistic_sigma: float
    pelgrom_coefficient: float
    source: str
    mismatch_source: str
    mismatch_kind: SourceKind
    simulated: bool = True

    def resistance(
        self, width: float, length: float, temperature: float | None = None, sheet: float | None = None
    ) -> float:
        """Ohm, of width x length (m) at a temperature (K; None: the reference) and a sheet resistance (None: nominal)."""
        warmer = 0.0 if temperature is None else temperature - self.reference
        wide = width - self.width_offset
        body = (self.sheet if sheet is None else sheet) * (length - self.length_offset) / wide
        ends = 2 * self.end / wide
        return body * (1 + self.tc1 * warmer + self.tc2 * warmer**2) + ends * (
            1 + self.end_tc1 * warmer + self.end_tc2 * warmer**2
        )

    def length(self, width: float, resistance: float) -> float:
        """Length (m) of a resistor of so many ohm at the reference temperature."""
        wide = width - self.width_offset
        return (resistance - 2 * self.end / wide) * wide / self.sheet + self.length_offset

    def mismatch(self, width: float, length: float) -> float:
        """Standard deviation of ln R of one resistor, A_R / sqrt(2 W L)."""
        return self.pelgrom_coefficient / math.sqrt(2 * width * length)


@dataclass(frozen=True)
class ProcessCapacitor:
    """A metal-insulator-metal capacitor of a process: C(T, V) = (c_a W L + 2 c_p (W + L)) (1 + TC1 dT + TC2 dT^2) (1 + VC1 V + VC2 V^2).

    Attributes:
        model: name in the foundry's files.
        width_parameter, length_parameter, parameter_unit: names of an instance's parameters and their unit, m.
        area, perimeter: c_a, F/m^2, and c_p, F/m. size_offset: what both sides lose, m.
        tc1, tc2: 1/K, 1/K^2. reference: K. voltage: VC1, VC2, 1/V and 1/V^2. voltage_simulated: whether the model heeds them.
        corners: factor by corner (tt, ss, ff) of c_a.
        spread: standard deviation over dies of ln C. statistic: the model files' parameter for it; "": none.
        pelgrom_coefficient: A_C of a pair, m.
        source, mismatch_source, mismatch_kind: where the figures are from.
    """

    model: str
    width_parameter: str
    length_parameter: str
    parameter_unit: float
    area: float
    perimeter: float
    size_offset: float
    tc1: float
    tc2: float
    reference: float
    voltage: tuple[float, float]
    voltage_simulated: bool
    corners: Mapping[str, float]
    spread: float
    statistic: str
    pelgrom_coefficient: float
    source: str
    mismatch_source: str
    mismatch_kind: SourceKind

    def capacitance(self, width: float, length: float, temperature: float | None = None, volts: float = 0.0) -> float:
        """Farad, of width x length (m) at a temperature (K; None: the reference) and a voltage across it."""
        warmer = 0.0 if temperature is None else temperature - self.reference
        wide, long = width - self.size_offset, length - self.size_offset
        nominal = self.area * wide * long + 2 * self.perimeter * (wide + long)
        bent = 1 + self.voltage[0] * volts + self.voltage[1] * volts**2
        return nominal * (1 + self.tc1 * warmer + self.tc2 * warmer**2) * bent

    def side(self, capacitance: float) -> float:
        """Side (m) of a square capacitor of so many farad at the reference temperature: the root of c_a s^2 + 4 c_p s = C."""
        a, p = self.area, self.perimeter
        return (math.sqrt(4 * p**2 + a * capacitance) - 2 * p) / a + self.size_offset

    def mismatch(self, width: float, length: float) -> float:
        """Standard deviation of ln C of one capacitor, A_C / sqrt(2 W L)."""
        return self.pelgrom_coefficient / math.sqrt(2 * width * length)
