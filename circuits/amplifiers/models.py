"""Amplifiers as sub-circuits of a netlist: the one-pole law, and a macromodel with the limits of a real part.

An amplifier has two inputs (non-inverting, inverting) and one output, or two that move apart, v(p) - v(m) being its output. `OnePole` is

    v_out = A(s) (v(inputs) + offset),      A(s) = 1 / (1 / A0 + s / (2 pi GBW)),

linear, with ideal control of the outputs' mean; a `noisy` one has the noise below, too. `Macromodel` adds, each where the record `OpAmp`
says so:

    second pole        A(s) -> A(s) / (1 + s / (2 pi f_2))
    slew rate          the current into the gain node is I tanh(g_m v / I), I = slew C: |dv_out/dt| <= slew
    output limit       the gain node itself is clamped at +-output_limit, so that it does not wind up and comes back at once
    output resistance  between the gain stage and the node, inside the feedback
    output current     i = I tanh(v / (R I)) in place of v / R, v being the voltage across that resistance (`output_stage`)
    bias current       out of each node that an input is joined to
    noise              a voltage in series with the input and a current into each input, white and 1/f (`noise_source`)
    common mode        the mean of two outputs follows A_c(s) (V_c - mean), one pole

Either is a small linear circuit but for tanh and clamp, which `Netlist.linearised` replaces by their small-signal equivalents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import constants

from ..errors import InputError
from ..linear.noise_paths import SlowNoise
from ..netlist.elements import VCCS, VCVS, Capacitor, CurrentSource, Resistor, VoltageSource
from ..netlist.limiting import Clamp, SaturatingVCCS
from ..netlist.netlist import Netlist
from ..technology.amplifier_draw import AmplifierDraw
from ..technology.parts import OpAmp
from .noise_source import add_noise_source, slow_noise
from .output_stage import series_resistance

IDEAL_GAIN = 1e8
"""Gain that stands for an infinite one: larger ones cost the simulator digits, since it resolves the input voltage as a difference."""
ONE_POLE_LOAD = 1e6
"""Load of the one-pole amplifier's gain node, ohm, which brings its entries of the simulator's matrix near the others."""
TRANSCONDUCTANCE = 1e-3
"""g_m of the macromodel's input stage, S; the values around it are then those of a real amplifier."""
KNEE = 1e-3
"""Width of the clamp's knee, as a share of the output limit, where the incremental gain is half of A0; the output ends 2 % above it."""
CURRENT_END = 0.98
"""Share of an output's largest current at which a comparator says that it ends."""
NOISE_RESISTOR = 1e4
"""Resistor whose Johnson noise stands for a noise current, ohm."""


class AmplifierCell(Protocol):
    """What a fabric puts in for each of its amplifiers."""

    def add(
        self,
        netlist: Netlist,
        inputs: tuple[str, str],
        outputs: tuple[str, ...],
        name: str,
        offset: float = 0.0,
        state: float = 0.0,
        group: str = "",
        draw: AmplifierDraw | None = None,
    ) -> None:
        """Add one amplifier.

        Args:
            netlist: what to add to.
            inputs: (non-inverting, inverting) nodes.
            outputs: one node, or (p, m).
            name: suffix of its parts' names.
            offset: input offset voltage, V. state: output at t = 0, V. group: the cell that it belongs to.
            draw: its own deviations on a die whose technology has `opamp.transistors`, which make its offset, too; only given where it has.
        """
        ...


def require_cell(amplifier: AmplifierCell) -> None:
    """InputError unless it can be put into a netlist."""
    if not callable(getattr(amplifier, "add", None)):
        raise InputError(
            f"amplifier is a {type(amplifier).__name__}: give Macromodel(technology.opamp), or a netlist of your own by "
            "Amplifier.read_spice(...)"
        )


def cell_title(amplifier: AmplifierCell | None) -> str:
    """What stands for each amplifier, in words; "" for the linear one-pole amplifier and for cells that do not say."""
    return str(getattr(amplifier, "title", ""))


def _require_opamp(opamp: OpAmp) -> None:
    if not isinstance(opamp, OpAmp):
        raise InputError(f"opamp is a {type(opamp).__name__}: give an OpAmp, such as technology.opamp")


@dataclass(frozen=True)
class OnePole:
    """The linear amplifier of gain A0, gain-bandwidth product and offset.

    Args:
        opamp: its figures. noisy: with its noise voltage and currents.
    """

    opamp: OpAmp
    noisy: bool = False

    def __post_init__(self) -> None:
        _require_opamp(self.opamp)

    def add(
        self,
        netlist: Netlist,
        inputs: tuple[str, str],
        outputs: tuple[str, ...],
        name: str,
        offset: float = 0.0,
        state: float = 0.0,
        group: str = "",
        draw: AmplifierDraw | None = None,
    ) -> None:
        """See `AmplifierCell.add`."""
        opamp = _drawn(self.opamp, draw)
        gain, gbw = min(opamp.gain, IDEAL_GAIN), opamp.gbw
        upper, lower = inputs
        if offset and len(outputs) == 1:
            netlist.add(VoltageSource(f"VOS{name}", f"os{name}", upper, offset), group=group)
            upper = f"os{name}"
        elif offset:
            netlist.add(VoltageSource(f"VOS{name}", lower, f"os{name}", offset), group=group)
            lower = f"os{name}"
        if self.noisy:
            _add_noise_currents(netlist, self.opamp, inputs, name, group)
            upper = _add_noise_voltage(netlist, self.opamp, upper, name, group)
        if math.isinf(gbw):
            netlist.add(*_output_stage(outputs, name, (upper, lower), gain), group=group)
            return
        netlist.add(
            VCCS(f"G{name}", "0", f"a{name}", upper, lower, gain / ONE_POLE_LOAD),
            Resistor(f"RA{name}", f"a{name}", "0", ONE_POLE_LOAD, noisy=False),
            Capacitor(f"CA{name}", f"a{name}", "0", gain / (2 * math.pi * gbw * ONE_POLE_LOAD), initial=state),
            *_output_stage(outputs, name, (f"a{name}", "0"), 1.0),
            group=group,
        )

    def expressions(self, outputs: int, name: str, draw: AmplifierDraw | None = None) -> dict[str, str]:
        """The values of the parts that `add` makes, as expressions of `gain` and `gbw` (Hz); the others are the same for any amplifier.

        Args:
            outputs: how many it has. name, draw: as for `add`.
        """
        gain, gbw = ("gain", "gbw") if draw is None else (f"{draw.gain!r}*gain", f"{draw.gbw!r}*gbw")
        if math.isinf(self.opamp.gbw):
            return {f"E{name}": gain} if outputs == 1 else {f"E{name}p": f"{gain}/2", f"E{name}m": f"-{gain}/2"}
        return {
            f"G{name}": f"{gain}/{ONE_POLE_LOAD!r}",
            f"CA{name}": f"{gain}/({2 * math.pi!r}*{gbw}*{ONE_POLE_LOAD!r})",
        }


@dataclass(frozen=True)
class Macromodel:
    """The amplifier with everything that its record says; see the module's docstring.

    Raises:
        InputError: a slew rate without a gain-bandwidth product, which makes the capacitor that is slewed.
    """

    opamp: OpAmp

    @property
    def title(self) -> str:
        """In a few words."""
        return "macromodel of opamp's figures, noisy and limited"

    def __post_init__(self) -> None:
        _require_opamp(self.opamp)
        if math.isfinite(self.opamp.slew) and math.isinf(self.opamp.gbw):
            raise InputError(f"opamp.slew = {self.opamp.slew:g} V/s needs a finite opamp.gbw; give both or neither")

    @staticmethod
    def watched_nodes(netlist: Netlist) -> tuple[str, ...]:
        """The nodes that `overload` looks at: gain nodes of its copies in a netlist, and both ends of their limited outputs."""
        ends = [node for part in _limited_outputs(netlist) for node in (part.a, part.b)]
        return tuple(dict.fromkeys([*(part.a for part in netlist.of(Clamp)), *ends]))

    def overload(self, netlist: Netlist, voltages: Mapping[str, np.ndarray | float]) -> float:
        """What its copies use of their limits at most in a run, as comparators for voltage and current see it: 1 is at an end.

        Args:
            voltages: of `watched_nodes`, by lower-case name, V.
        """
        gain = [np.abs(voltages[part.a.lower()]).max() for part in netlist.of(Clamp)]
        drawn = [
            np.abs(np.subtract(voltages[part.a.lower()], voltages[part.b.lower()])).max()
            * (part.transconductance / part.limit)
            for part in _limited_outputs(netlist)
        ]
        by_current = float(np.tanh(max(map(float, drawn), default=0.0))) / CURRENT_END
        return max(float(max(gain, default=0.0)) / self.opamp.output_limit, by_current if by_current > 1 else 0.0)

    def add(
        self,
        netlist: Netlist,
        inputs: tuple[str, str],
        outputs: tuple[str, ...],
        name: str,
        offset: float = 0.0,
        state: float = 0.0,
        group: str = "",
        draw: AmplifierDraw | None = None,
    ) -> None:
        """See `AmplifierCell.add`."""
        opamp = _drawn(self.opamp, draw)
        upper, lower = self._input(netlist, inputs, name, offset, group)
        gain = min(opamp.gain, IDEAL_GAIN)
        slewing, limit, capacitor = math.isfinite(opamp.slew), math.inf, 0.0
        if math.isfinite(opamp.gbw):
            capacitor = TRANSCONDUCTANCE / (2 * math.pi * opamp.gbw)
            netlist.add(Capacitor(f"CA{name}", f"a{name}", "0", capacitor, initial=state), group=group)
        if slewing:
            limit = opamp.slew * capacitor
            netlist.add(
                SaturatingVCCS(f"BG{name}", "0", f"a{name}", upper, lower, TRANSCONDUCTANCE, limit), group=group
            )
        else:
            netlist.add(VCCS(f"G{name}", "0", f"a{name}", upper, lower, TRANSCONDUCTANCE), group=group)
        # A stage without a current limit is taken to be overdriven by the output limit itself.
        most = limit if slewing else TRANSCONDUCTANCE * opamp.output_limit
        knee = KNEE * opamp.output_limit
        netlist.add(
            Resistor(f"RA{name}", f"a{name}", "0", gain / TRANSCONDUCTANCE, noisy=False),
            Clamp(
                f"BC{name}",
                f"a{name}",
                "0",
                opamp.output_limit + knee * math.log(most / knee * gain / TRANSCONDUCTANCE),
                most / knee,
                knee,
            ),
            group=group,
        )
        last = f"a{name}"
        if math.isfinite(opamp.second_pole):
            last = f"q{name}"
            netlist.add(
                VCCS(f"GQ{name}", "0", last, f"a{name}", "0", TRANSCONDUCTANCE),
                Resistor(f"RQ{name}", last, "0", 1 / TRANSCONDUCTANCE, noisy=False),
                Capacitor(f"CQ{name}", last, "0", TRANSCONDUCTANCE / (2 * math.pi * opamp.second_pole), initial=state),
                group=group,
            )
        self._output(netlist, outputs, name, last, group)

    def _input(
        self, netlist: Netlist, inputs: tuple[str, str], name: str, offset: float, group: str
    ) -> tuple[str, str]:
        """The nodes whose difference is amplified: offset and noise voltage in series with the non-inverting input."""
        opamp, (upper, lower) = self.opamp, inputs
        for sign, node in zip("pm", inputs, strict=True):
            if node == "0":
                continue
            if opamp.bias_current:
                netlist.add(CurrentSource(f"IB{name}{sign}", node, "0", opamp.bias_current), group=group)
        _add_noise_currents(netlist, opamp, inputs, name, group)
        if offset:
            netlist.add(VoltageSource(f"VOS{name}", f"os{name}", upper, offset), group=group)
            upper = f"os{name}"
        return _add_noise_voltage(netlist, opamp, upper, name, group), lower

    def _output(self, netlist: Netlist, outputs: tuple[str, ...], name: str, last: str, group: str) -> None:
        opamp = self.opamp
        driven, ohm, most = outputs, series_resistance(opamp), opamp.output_current
        if ohm:
            driven = tuple(f"r{name}{k + 1}" for k in range(len(outputs)))
            ends = list(enumerate(zip(driven, outputs, strict=True), start=1))
            netlist.add(
                *(
                    Resistor(f"RO{name}_{k}", inner, outer, ohm, noisy=False)
                    if math.isinf(most)
                    else SaturatingVCCS(f"BO{name}_{k}", inner, outer, inner, outer, 1 / ohm, most)
                    for k, (inner, outer) in ends
                ),
                group=group,
            )
        mean = "0"
        ideal = (
            math.isinf(opamp.common_mode_gain) and math.isinf(opamp.common_mode_gbw) and not opamp.common_mode_offset
        )
        if len(outputs) == 2 and not ideal:
            mean = self._common_mode(netlist, outputs, name, group)
        netlist.add(*_output_stage(driven, name, (last, "0"), 1.0, mean), group=group)

    def _common_mode(self, netlist: Netlist, outputs: tuple[str, ...], name: str, group: str) -> str:
        """The node that the outputs swing about."""
        opamp, wanted, mean = self.opamp, "0", f"c{name}"
        gain = min(opamp.common_mode_gain, IDEAL_GAIN)
        if opamp.common_mode_offset:
            wanted = f"vc{name}"
            netlist.add(VoltageSource(f"VC{name}", wanted, "0", opamp.common_mode_offset), group=group)
        netlist.add(
            *(
                VCCS(f"GC{name}_{k + 1}", "0", f"k{name}", wanted, node, TRANSCONDUCTANCE / 2)
                for k, node in enumerate(outputs)
            ),
            Resistor(f"RC{name}", f"k{name}", "0", gain / TRANSCONDUCTANCE, noisy=False),
            VCVS(f"EC{name}", mean, "0", f"k{name}", "0", 1.0),
            group=group,
        )
        if math.isfinite(opamp.common_mode_gbw):
            farad = TRANSCONDUCTANCE / (2 * math.pi * opamp.common_mode_gbw)
            netlist.add(Capacitor(f"CC{name}", f"k{name}", "0", farad), group=group)
        return mean


def _drawn(opamp: OpAmp, draw: AmplifierDraw | None) -> OpAmp:
    """The figures of one amplifier."""
    if draw is None:
        return opamp
    return opamp.model_copy(update={"gain": draw.gain * opamp.gain, "gbw": draw.gbw * opamp.gbw})


def slow_noise_of(netlist: Netlist, opamp: OpAmp) -> tuple[SlowNoise, ...]:
    """The 1/f noise of amplifiers in a netlist that was built with white ones of the same figures."""
    found = []
    for part in netlist.of(Resistor):
        if part.name.startswith("RNV") and opamp.noise_voltage_corner:
            found.append(slow_noise(part.a, opamp.noise_voltage, opamp.noise_voltage_corner))
        if part.name.startswith("RNI") and opamp.noise_current_corner:
            density = math.sqrt(4 * constants.k * netlist.temperature * part.resistance)
            found.append(slow_noise(part.a, density, opamp.noise_current_corner))
    return tuple(found)


def _add_noise_currents(netlist: Netlist, opamp: OpAmp, inputs: tuple[str, str], name: str, group: str) -> None:
    """A noise current into each input that is not at ground."""
    for sign, node in zip("pm", inputs, strict=True):
        if node == "0" or not opamp.noise_current:
            continue
        density = math.sqrt(4 * constants.k * netlist.temperature * NOISE_RESISTOR)
        source, tag = f"ni{name}{sign}", f"I{name}{sign}"
        add_noise_source(netlist, source, density, opamp.noise_current_corner, tag, group)
        netlist.add(VCCS(f"GN{name}{sign}", "0", node, source, "0", opamp.noise_current / density), group=group)


def _add_noise_voltage(netlist: Netlist, opamp: OpAmp, upper: str, name: str, group: str) -> str:
    """The node whose voltage is that of `upper` and the noise voltage; `upper` without one."""
    if not opamp.noise_voltage:
        return upper
    add_noise_source(netlist, f"nv{name}", opamp.noise_voltage, opamp.noise_voltage_corner, f"V{name}", group)
    netlist.add(VCVS(f"EN{name}", f"on{name}", upper, f"nv{name}", "0", 1.0), group=group)
    return f"on{name}"


def _limited_outputs(netlist: Netlist) -> list[SaturatingVCCS]:
    """Output resistances whose current ends."""
    return [part for part in netlist.of(SaturatingVCCS) if part.is_resistance]


def _output_stage(
    outputs: tuple[str, ...], name: str, control: tuple[str, str], gain: float, mean: str = "0"
) -> tuple[VCVS, ...]:
    """One output at gain v(control), or two at half of it on either side of the node `mean`."""
    if len(outputs) == 1:
        return (VCVS(f"E{name}", outputs[0], "0", *control, gain),)
    plus, minus = outputs
    return (
        VCVS(f"E{name}p", plus, mean, *control, gain / 2),
        VCVS(f"E{name}m", minus, mean, *control, -gain / 2),
    )
