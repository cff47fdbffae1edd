"""The test bench in which an amplifier is measured: an inverting stage of gain -1, as its place in an array is.

    single    source - R - inverting input - R - copy of the output;  non-inverting input at ground
    two outputs    the same twice: p is fed back to the inverting input, m to the other one

The feedback comes from an ideal copy of the output, so that nothing but the stated load draws a current there. The amplifier's own gain is
read between its own terminals, A(f) = v_out / (v(non-inverting) - v(inverting)), whatever the resistors do. Their noise is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .analyses import AC, Noise, OperatingPoint, Transient
from .cells.amplifier import AmplifierCell
from .cells.designed import Amplifier
from .netlist import CCVS, VCVS, Capacitor, Netlist, Resistor, VoltageSource
from .ngspice import run
from .waveforms import Waveform

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class Bench:
    """An amplifier and what is around it.

    Attributes:
        amplifier: the one to measure. outputs: how many it has, 1 or 2.
        load_resistance, load_capacitance: from each output to ground, ohm and F; inf and 0: none.
        temperature: K. timeout: limit for each simulation, s.
    """

    amplifier: AmplifierCell
    outputs: int
    load_resistance: float
    load_capacitance: float
    temperature: float
    timeout: float

    def netlist(self, resistor: float, level: float = 0.0, waveform: Waveform = ()) -> Netlist:
        """The circuit with both resistors at `resistor` ohm, driven by `level` V or a waveform; nodes up, lo, p (and m)."""
        netlist = Netlist("amplifier bench", temperature=self.temperature)
        two = self.outputs == 2
        share = 0.5 if two else 1.0
        for sign, lower, output in ((1.0, "lo", "p"), (-1.0, "up", "m"))[: self.outputs]:
            wave = tuple((time, sign * share * value) for time, value in waveform)
            start = wave[0][1] if wave else sign * share * level
            netlist.add(
                VoltageSource(f"VIN{output}", f"in{output}", "0", start, sign * share, wave),
                Resistor(f"RI{output}", f"in{output}", lower, resistor, noisy=False),
                VCVS(f"EF{output}", f"copy{output}", "0", output, "0", 1.0),
                Resistor(f"RF{output}", f"copy{output}", lower, resistor, noisy=False),
            )
            if math.isfinite(self.load_resistance):
                netlist.add(Resistor(f"RL{output}", output, "0", self.load_resistance, noisy=False))
            if self.load_capacitance:
                netlist.add(Capacitor(f"CL{output}", output, "0", self.load_capacitance))
        # The sign convention of the cells: (non-inverting, inverting) inputs, p rises with the former.
        self.amplifier.add(netlist, ("up" if two else "0", "lo"), ("p", "m") if two else ("p",), "dut")
        if isinstance(self.amplifier, Amplifier):
            for node in self.amplifier.rails:
                netlist.add(CCVS(f"H{node}", f"current_{node}", "0", f"VSUP_{node}", 1.0))
        return netlist

    def rest(self, resistor: float, level: float = 0.0) -> dict[str, float]:
        """Node voltages at rest, V; `out` and `id` are the output and the voltage between the inputs."""
        volts = run(self.netlist(resistor, level), OperatingPoint(), timeout=self.timeout).voltages
        out = volts["p"] - volts.get("m", 0.0)
        return volts | {"out": out, "id": volts.get("up", 0.0) - volts["lo"]}

    def gain(
        self, resistor: float, start: float, stop: float, points: int = 20, level: float = 0.0
    ) -> tuple[Array, ComplexArray, ComplexArray]:
        """Frequencies, A(f), and the closed loop's gain from source to output."""
        nodes = ("lo", "p", "up", "m") if self.outputs == 2 else ("lo", "p")
        found = run(self.netlist(resistor, level), AC(start, stop, points, nodes), timeout=self.timeout)
        volts, between = found.voltages, found.voltages.get("up", 0.0) - found.voltages["lo"]
        output = volts["p"] - volts["m"] if self.outputs == 2 else volts["p"]
        return found.frequency, output / between, output

    def noise(self, resistor: float, start: float, stop: float, points: int = 10) -> tuple[Array, Array]:
        """Frequencies, and the noise referred to a voltage in series with the input, V/sqrt(Hz)."""
        output = ("p", "m") if self.outputs == 2 else "p"
        found = run(self.netlist(resistor), Noise(output, "VINp", start, stop, points), timeout=self.timeout)
        _, _, closed = self.gain(resistor, start, stop, points)
        # A voltage at the input is amplified by 1 / beta = 2 where one at the source is by 1.
        return found.frequency[: len(closed)], found.density[: len(closed)] / (2 * np.abs(closed))

    def step(self, resistor: float, amplitude: float, stop: float) -> tuple[Array, Array]:
        """Times and output, V, for a source that jumps from -amplitude to +amplitude at a hundredth of `stop`."""
        edge = stop / 100
        wave = ((0.0, -amplitude), (edge, -amplitude), (edge * 1.001, amplitude))
        nodes = ("p", "m") if self.outputs == 2 else ("p",)
        analysis = Transient(stop, nodes=nodes, use_initial=False, step=stop / 400)
        found = run(self.netlist(resistor, waveform=wave), analysis, timeout=self.timeout)
        volts = found.voltages
        return found.time, volts["p"] - volts["m"] if self.outputs == 2 else volts["p"]
