"""The test bench in which an amplifier is measured: an inverting stage of gain -1, as its place in an array is.

    single    source - R - inverting input - R - copy of the output;  non-inverting input at ground
    two outputs    the same twice: p is fed back to the inverting input, m to the other one

The feedback comes from an ideal copy of the output, so that nothing but the stated load draws a current there. The amplifier's own gain is
read between its own terminals, A(f) = v_out / (v(non-inverting) - v(inverting)), whatever the resistors do. Their noise is left out.
Small signals come in at the source, or, to refer the output's noise to the input, as a voltage in series with the non-inverting input and
as a current into the inverting one: measured, and not worked out from A and the loop's gain, whose difference from -1 is lost in rounding.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import SimulationError
from ..netlist.analyses import AC, Noise, OperatingPoint, Transient
from ..netlist.elements import CCVS, VCVS, Capacitor, CurrentSource, Resistor, VoltageSource
from ..netlist.netlist import Netlist
from ..netlist.waveforms import Waveform
from ..ngspice.run import run
from .models import AmplifierCell
from .user_netlist import Amplifier

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
SHARES = (1.0, 0.8, 0.6, 0.5, 0.4)
"""Of the resistors, tried in turn; what is measured does not depend on them."""
Signal: TypeAlias = Literal["source", "voltage", "current", "common", "none"]


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

    def netlist(
        self, resistor: float, level: float = 0.0, waveform: Waveform = (), signal: Signal = "source"
    ) -> Netlist:
        """The circuit with both resistors at `resistor` ohm, driven by `level` V or a waveform; nodes in, lo, p (up and m).

        The small signal is 1 V at the source, between the inputs or ("common") at both of them, or 1 A into the inverting one.
        """
        netlist = Netlist("amplifier bench", temperature=self.temperature)
        two, common = self.outputs == 2, signal == "common"
        at_input = signal == "voltage" or (common and not two)
        netlist.add(
            VoltageSource("VE", "ni", "up" if two else "0", 0.0, float(at_input)),
            CurrentSource("IE", "0", "lo", 0.0, float(signal == "current")),
        )
        share = 0.5 if two else 1.0
        for sign, lower, output in ((1.0, "lo", "p"), (-1.0, "up", "m"))[: self.outputs]:
            wave = tuple((time, sign * share * value) for time, value in waveform)
            start = wave[0][1] if wave else sign * share * level
            moved = 1.0 if common else sign * share * (signal == "source")
            netlist.add(
                VoltageSource(f"VIN{output}", f"in{output}", "0", start, moved, wave),
                Resistor(f"RI{output}", f"in{output}", lower, resistor, noisy=False),
                VCVS(f"EF{output}", f"copy{output}", "0", output, "0", 1.0),
                Resistor(f"RF{output}", f"copy{output}", lower, resistor, noisy=False),
            )
            if math.isfinite(self.load_resistance):
                netlist.add(Resistor(f"RL{output}", output, "0", self.load_resistance, noisy=False))
            if self.load_capacitance:
                netlist.add(Capacitor(f"CL{output}", output, "0", self.load_capacitance))
        # The sign convention of the cells: (non-inverting, inverting) inputs, p rises with the former.
        self.amplifier.add(netlist, ("ni", "lo"), ("p", "m") if two else ("p",), "dut")
        if isinstance(self.amplifier, Amplifier):
            for node in self.amplifier.rails:
                netlist.add(CCVS(f"H{node}", f"current_{node}", "0", f"VSUP_{node}", 1.0))
        return netlist

    def rest(self, resistor: float, level: float = 0.0) -> dict[str, float]:
        """Node voltages at rest, V; `out` and `id` are the output and the voltage between the inputs."""
        with self._load_named():
            volts = run(self.netlist(resistor, level), OperatingPoint(), timeout=self.timeout).voltages
        out = volts["p"] - volts.get("m", 0.0)
        return volts | {"out": out, "id": volts["ni"] - volts["lo"]}

    def gain(
        self, resistor: float, start: float, stop: float, points: int = 20, level: float = 0.0
    ) -> tuple[Array, ComplexArray]:
        """Frequencies and A(f)."""
        frequency, volts = self._response("source", resistor, start, stop, points, level)
        return frequency, self._out(volts) / (volts["ni"] - volts["lo"])

    def noise(self, resistor: float, start: float, stop: float, points: int = 10) -> tuple[Array, Array, Array]:
        """Frequencies, the noise referred to a voltage in series with the input, V/sqrt(Hz), and what an input sees, |Z| in ohm."""
        output = ("p", "m") if self.outputs == 2 else "p"
        analysis = Noise(output, "VE", start, stop, points)
        # Where ngspice loses the operating point of many transistors, it finds that of a bench which is a little different.
        for share in SHARES:
            try:
                found = run(self.netlist(share * resistor, signal="voltage"), analysis, timeout=self.timeout)
                resistor *= share
                break
            except SimulationError:
                if share == SHARES[-1]:
                    raise
        frequency, by_voltage = self._response("voltage", resistor, start, stop, 2 * points)
        _, by_current = self._response("current", resistor, start, stop, 2 * points)
        # ngspice's .ac and .noise do not take the same steps.
        kept = found.frequency <= frequency[-1] * (1 + 1e-9)
        place = np.log(found.frequency[kept])
        passed, seen = (
            np.exp(np.interp(place, np.log(frequency), np.log(np.abs(self._out(volts)))))
            for volts in (by_voltage, by_current)
        )
        return found.frequency[kept], found.density[kept] / passed, seen / passed

    def mean_response(self, port: str, resistor: float, start: float, stop: float) -> tuple[Array, ComplexArray]:
        """Frequencies, and the mean of both outputs for 1 V at a port that is otherwise held."""
        held = self.netlist(resistor, signal="none")
        driven = Netlist(held.title, held.temperature)
        for part in held:
            driven.add(dataclasses.replace(part, ac=1.0) if part == held[f"VSUP_{port}"] else part)  # type: ignore[type-var]
        found = run(driven, AC(start, stop, 20, ("p", "m")), timeout=self.timeout)
        return found.frequency, (found.voltages["p"] + found.voltages["m"]) / 2

    def common_response(self, a0: float, resistor: float, frequency: float) -> tuple[complex, complex]:
        """Mean of the inputs, and v_out / A0 - v_id, by a small signal at both."""
        _, volts = self._response("common", resistor, frequency, 10 * frequency, 1)
        error = self._out(volts)[0] / a0 - (volts["ni"][0] - volts["lo"][0])
        return complex(volts["ni"][0] + volts["lo"][0]) / 2, complex(error)

    def _response(
        self, signal: Signal, resistor: float, start: float, stop: float, points: int, level: float = 0.0
    ) -> tuple[Array, dict[str, ComplexArray]]:
        nodes = ("ni", "lo", "p", "m")[: 2 + self.outputs]
        netlist = self.netlist(resistor, level, signal=signal)
        with self._load_named():
            found = run(netlist, AC(start, stop, points, nodes), timeout=self.timeout)
        return found.frequency, found.voltages

    @contextlib.contextmanager
    def _load_named(self) -> Iterator[None]:
        """A failure of ngspice on transistors without a load says what may help: their open loop has hundreds of kohm at its output."""
        try:
            yield
        except SimulationError as error:
            # Other kinds, as a missing library, are no matter of the load.
            if (
                type(error) is not SimulationError
                or not isinstance(self.amplifier, Amplifier)
                or math.isfinite(self.load_resistance)
            ):
                raise
            raise SimulationError(
                f"{error}. The bench is an open loop, which may have no operating point without a load: give the one that the amplifier "
                "will have, load_resistance (--load-resistance 27k)"
            ) from None

    @staticmethod
    def _out(volts: dict[str, ComplexArray]) -> ComplexArray:
        return volts["p"] - volts["m"] if "m" in volts else volts["p"]

    def step(self, resistor: float, amplitude: float, stop: float) -> tuple[Array, Array]:
        """Times and output, V, for a source that jumps from -amplitude to +amplitude at a hundredth of `stop`."""
        edge = stop / 100
        wave = ((0.0, -amplitude), (edge, -amplitude), (edge * 1.001, amplitude))
        nodes = ("p", "m") if self.outputs == 2 else ("p",)
        analysis = Transient(stop, nodes=nodes, use_initial=False, step=stop / 400)
        found = run(self.netlist(resistor, waveform=wave), analysis, timeout=self.timeout)
        volts = found.voltages
        return found.time, volts["p"] - volts["m"] if self.outputs == 2 else volts["p"]
