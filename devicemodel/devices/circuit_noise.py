"""Noise and samplers of the circuit that ngspice simulates, and the charge that a run leaves in its cells.

Johnson noise of all resistors and the amplifiers' voltage and current noise, white and 1/f, are injected as currents into the circuit's own
nodes (`circuits.linear.noise_paths`): exact at every lag for the linear circuit, whatever the step. They are those of a twin netlist
whose amplifiers are noisy, so that no noise source is in the circuit twice. Circuits with inductors, whose currents no node current
reaches, take currents that are independent from step to step (`circuits.linear.johnson`), right where steps resolve their swings.

A sampler of finite bandwidth B is a follower, a resistor and a capacitor at each cell: dr/dt = 2 pi B (v - r), r what is read. A
macromodel with an output resistance carries the currents' white noise to its output, of infinite variance without a sampler: B is then
`ABOVE` times the gain-bandwidth product where the technology does not say it, and there is noise.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...circuits.amplifiers.models import IDEAL_GAIN, AmplifierCell, Macromodel, OnePole, slow_noise_of
from ...circuits.amplifiers.output_stage import series_resistance
from ...circuits.linear.johnson import NoiseCurrents, johnson_currents
from ...circuits.linear.noise_paths import DrawnCurrents, NoisePath, SlowNoise, noise_path
from ...circuits.linear.noise_spectra import noise_covariance
from ...circuits.netlist.elements import VCVS, Capacitor, Resistor
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.technology import Technology
from ...compiler.layout.extraction import extract_layout
from ...compiler.program import AnalogProgram

ABOVE = 100.0
WHITE = {"noise_voltage_corner": 0.0, "noise_current_corner": 0.0}
SILENT = {"noise_voltage": 0.0, "noise_current": 0.0}


def sampler_bandwidth(technology: Technology, amplifier: AmplifierCell | None, noisy: bool) -> float:
    """Bandwidth at which the cells of a technology are read, Hz."""
    bandwidth = technology.adc.bandwidth
    if not noisy or math.isfinite(bandwidth) or not isinstance(amplifier, Macromodel):
        return bandwidth
    return ABOVE * amplifier.opamp.gbw if series_resistance(amplifier.opamp) else bandwidth


@dataclass(frozen=True, eq=False)
class WhiteNoise(NoiseCurrents):
    """Noise without memory, drawn as a `NoisePath` is."""

    def draw(
        self, steps: int, generator: np.random.Generator, known: Mapping[str, Any] | None = None, waited: float = 0.0
    ) -> DrawnCurrents:
        """See `NoisePath.draw`; nothing of it is known before, or later."""
        return DrawnCurrents(self.nodes, self.step, self.sample(steps, generator), {})


@dataclass(frozen=True)
class SimulatedCircuit:
    """How a program is simulated.

    Args:
        program: on its die.
        amplifier: what stands for each amplifier; None: the linear one-pole amplifier.
        layout: with wires, switches and parasitic capacitances.
        bandwidth: of the samplers, Hz.
    """

    program: AnalogProgram
    amplifier: AmplifierCell | None = None
    layout: bool = False
    bandwidth: float = math.inf

    def netlist(self, currents: np.ndarray, state: np.ndarray, noisy: bool = False) -> Netlist:
        """The circuit for drive currents (n,) A from voltages `state`, (kept,) V; without the noise sources of amplifiers if currents stand
        for them."""
        return self._with(self._silent if noisy else self.amplifier, currents, state)

    def noise(self, step: float) -> NoisePath | WhiteNoise:
        """What makes its transients noisy, at steps of so many seconds."""
        zero, noisy = np.zeros(self.program.size), self._noisy
        if self.program.fabric.has_inductors:
            found = johnson_currents(self.netlist(zero, zero, noisy=True), step)
            return WhiteNoise(found.nodes, found.factor, found.step, found.bias)
        slow: tuple[SlowNoise, ...] = ()
        if isinstance(noisy, OnePole | Macromodel):
            white = dataclasses.replace(noisy, opamp=noisy.opamp.model_copy(update=WHITE))
            source = self._with(white, zero, zero)
            slow = slow_noise_of(source, noisy.opamp)
        else:
            source = self._with(noisy, zero, zero)
        return noise_path(self.netlist(zero, zero, noisy=True), step, source, slow)

    def covariance(self) -> np.ndarray:
        """Stationary covariance of what is read, (n, n) V^2, by the state space of the noisy twin; InputError where it has none."""
        zero = np.zeros(self.program.size)
        reads = list(self.program.readouts) if self.direct else [(node, "0") for node in self.nodes]
        return noise_covariance(self._with(self._noisy, zero, zero).linearised(), reads)

    @property
    def direct(self) -> bool:
        """Whether what is read are the cells themselves."""
        return math.isinf(self.bandwidth)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that are read."""
        return self.program.nodes if self.direct else tuple(map(_sampled, range(self.program.size)))

    def read(self, voltages: Mapping[str, Any]) -> np.ndarray:
        """What the ADCs get, (n,) or (n, T) V, from node voltages."""
        if self.direct:
            return self.program.cell_volts(voltages)
        return np.stack([np.asarray(voltages[node]) for node in self.nodes])

    def kept_nodes(self, netlist: Netlist, noisy: bool) -> tuple[str, ...]:
        """The nodes that `kept` needs; none where it is what is read at the end."""
        fabric, parts = self.program.fabric, self.program.parts
        if fabric.states > 1:
            return tuple(node for node in fabric.kept_nodes(parts) if node != "0")
        return self._charged(netlist) if noisy and fabric.active else ()

    def kept(self, netlist: Netlist, voltages: Mapping[str, Any]) -> np.ndarray:
        """Voltages that a host goes on from at the end of a run, (kept,) V: those whose outputs, at rest, have put the charge into the
        cells' capacitors that is there."""
        if self.program.fabric.states > 1:
            return self.course(voltages)[:, -1]
        return self._charge(netlist, voltages)

    def course(self, voltages: Mapping[str, Any]) -> np.ndarray:
        """Voltages that a host keeps, of a fabric with more than one for each cell, (kept, T) V, along a run."""
        points = len(next(iter(voltages.values())))
        program, seen = self.program, {**voltages, "0": np.zeros(points)}
        return program.fabric.kept_volts(program.parts, program.technology, seen)

    def _charged(self, netlist: Netlist) -> tuple[str, ...]:
        """The ends of the cells' capacitors; none of a fabric whose capacitors have other names."""
        ends = [node for parts in self._capacitors(netlist) for part in parts for node in (part.a, part.b)]
        return tuple(dict.fromkeys(node for node in ends if node != "0"))

    def _charge(self, netlist: Netlist, voltages: Mapping[str, Any]) -> np.ndarray:
        at_end = {node: float(np.asarray(values)[-1]) for node, values in voltages.items()} | {"0": 0.0}
        parts, gain = self.program.parts, min(self.program.technology.opamp.gain, IDEAL_GAIN)
        held = [
            sum(sign * (at_end[part.a] - at_end[part.b]) for sign, part in zip((1, -1), pair, strict=False))
            for pair in self._capacitors(netlist)
        ]
        return (np.array(held) + parts.offset) / (1.0 + 1.0 / gain)

    def _capacitors(self, netlist: Netlist) -> list[list[Capacitor]]:
        """Of each cell the capacitors of its rails."""
        suffixes = ("p", "m") if self.program.parts.rails == 2 else ("",)
        named = {part.name: part for part in netlist.of(Capacitor)}
        wanted = [[f"C{k + 1}{suffix}" for suffix in suffixes] for k in range(self.program.size)]
        if any(name not in named for names in wanted for name in names):
            return []
        return [[named[name] for name in names] for names in wanted]

    @property
    def _silent(self) -> AmplifierCell | None:
        if isinstance(self.amplifier, Macromodel):
            return Macromodel(self.amplifier.opamp.model_copy(update=SILENT))
        return self.amplifier

    @property
    def _noisy(self) -> AmplifierCell | None:
        if self.amplifier is None and self.program.fabric.active:
            return OnePole(self.program.technology.opamp, noisy=True)
        return self.amplifier

    @property
    def noisy(self) -> Netlist:
        """The circuit at rest without drive, with the noise sources of its amplifiers, for `.noise`."""
        zero = np.zeros(self.program.size)
        return self._with(self._noisy, zero, zero)

    def _with(self, amplifier: AmplifierCell | None, currents: np.ndarray, state: np.ndarray) -> Netlist:
        netlist = self.program.circuit(currents, state, amplifier)
        netlist = self.program.fabric.probed(netlist, self.program.technology)
        if self.layout:
            netlist = extract_layout(netlist, self.program)
        if not self.direct:
            ohm = self.program.technology.resistors.unit
            for k, (plus, minus) in enumerate(self.program.readouts):
                netlist.add(
                    VCVS(f"ESAMPLER{k + 1}", f"follower{k + 1}", "0", plus, minus, 1.0),
                    Resistor(f"RSAMPLER{k + 1}", f"follower{k + 1}", _sampled(k), ohm, noisy=False),
                    Capacitor(
                        f"CSAMPLER{k + 1}", _sampled(k), "0", 1 / (2 * math.pi * self.bandwidth * ohm), float(state[k])
                    ),
                )
        return netlist


def _sampled(place: int) -> str:
    return f"sampled{place + 1}"
