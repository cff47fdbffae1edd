"""A process's resistor in ngspice: its value over temperature and voltage, and its noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import constants

from ..netlist.analyses import Noise, OperatingPoint
from ..netlist.elements import CurrentSource, Resistor, VoltageSource
from ..netlist.netlist import Netlist
from ..ngspice.run import run
from ..technology.pdk.process_record import Process
from .parts import process_resistor

_SERIES = 1.0
_FLICKER, _WHITE = 1.0, 1e9
"""Frequencies at which 1/f noise alone and white noise alone is left, Hz."""


@dataclass(frozen=True)
class ResistorNoise:
    """Noise current of a resistor that carries a current.

    Attributes:
        white: its density over 4 k T / R; 1 is Nyquist's. flicker: density at 1 Hz less the white one, A^2/Hz.
    """

    white: float
    flicker: float


def measured_resistance(
    process: Process,
    model: str,
    width: float,
    length: float,
    temperature: float = 300.15,
    volts: float = 1.0,
    corner: str = "tt",
    sigmas: float = 0.0,
) -> float:
    """Ohm, of a resistor of `width` x `length` (m) at `temperature` (K) with `volts` across it; else as `process_resistor`."""
    netlist = Netlist("resistor", temperature=temperature)
    netlist.add(
        VoltageSource("V1", "s", "0", volts),
        Resistor("RS", "s", "a", _SERIES, noisy=False),
        process_resistor(process, model, _name(process, model), ("a", "0"), width, length, corner, sigmas),
    )
    across = run(netlist, OperatingPoint()).voltages["a"]
    return _SERIES * across / (volts - across)


def resistor_noise(
    process: Process, model: str, width: float, length: float, current: float, temperature: float = 300.15
) -> ResistorNoise:
    """What ngspice makes of the noise of a resistor that carries `current` (A); else as `measured_resistance`."""
    netlist = Netlist("resistor", temperature=temperature)
    netlist.add(
        CurrentSource("I1", "0", "a", current, 1.0),
        process_resistor(process, model, _name(process, model), ("a", "0"), width, length),
    )
    ohm = measured_resistance(process, model, width, length, temperature)
    found = run(netlist, Noise("a", "I1", _FLICKER, _WHITE, 1))
    density = (found.density / ohm) ** 2
    # The substrate's capacitance lowers the voltage at high frequencies: white noise is read where 1/f is a thousandth of it at most.
    low, white = float(density[0]), float(np.median(density[(found.frequency > 1e3) & (found.frequency < 1e6)]))
    unbiased = white if current == 0.0 else resistor_noise(process, model, width, length, 0.0, temperature).white
    nyquist = 4 * constants.k * temperature / ohm
    return ResistorNoise(
        white=white / nyquist if current == 0.0 else unbiased,
        flicker=low - (white if current == 0.0 else unbiased * nyquist),
    )


def _name(process: Process, model: str) -> str:
    kind = process.resistors.get(model)
    return f"{'X' if kind is None else kind.letter}1"
