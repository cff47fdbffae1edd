"""Sizes of the fully differential amplifier of an integrator array, from g_m / I_D tables of a foundry's models.

    python examples/amplifiers/size_amplifier.py gf180mcu --out examples/amplifiers/gf180mcu.cir       (about 1 s)
    python examples/amplifiers/size_amplifier.py sky130 --out examples/amplifiers/sky130.cir

What an integrator of the `crossbar` fabric asks of it: gain under a resistive load (the columns hang on its outputs), so two stages; a
first stage with cascodes, since the second one loses its gain to that load; inputs at the mean of the outputs, half of the supply, which
p-channel inputs have room for in both processes, and less 1/f noise; stable in unity feedback, since the integrator's capacitor is that.

    Miller compensation              GBW = g_m1 / (2 pi C_c)
    second pole, k times above GBW   g_m2 = k 2 pi GBW (C_L + C_own),   zero moved to infinity by R_z = 1 / g_m2
    white noise                      e^2 = 8 k T gamma / g_m1 (1 + g_m7 / g_m1)
    slew rate of the difference      2 I_1 / C_c

g_m / I_D then gives the current and, by the table of I_D / W, the width. Every current is a whole number of units, one mirror transistor
each, so that ratios hold over corners and mismatch. What the hand analysis leaves out, `thermograd characterise` shows.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thermograd.circuits import OperatingPoint, Process, parse_spice, process, run

GBW = 60e6  # Hz
LOAD = 0.5e-12  # F at each output: 64 crosspoints of 3 fF and the next inputs
PAIR_CAPACITOR = 1e-12  # C_c, F
OWN, DISTANCE = 0.45e-12, 2.5  # drains, averaging capacitor and first stage's node as the second stage sees them, F; k
UNIT = 5e-6  # A
# g_m / I_D, 1/V: high where g_m is wanted for its current, low where a current shall not depend on a threshold.
PAIR, CASCODE, DRIVER, MIRROR, SENSE = 15.0, 13.0, 12.0, 8.0, 10.0
AVERAGING, BYPASS, RESISTOR_WIDTH = 200e3, 0.1e-12, 1e-6  # ohm, F, m
ROOM = 0.30  # V: drain to source of a cascoded transistor, with the body effect of the cascode in it


@dataclass(frozen=True)
class Choice:
    """What is chosen for a process; lengths in m."""

    nmos: str
    pmos: str
    pair: float
    mirror: float  # p-channel
    sink: float  # n-channel, longer: the loads' mismatch counts as much as the pair's
    cascode: float
    driver: float
    diode: float  # that biases the n-channel cascodes
    diffusion: float  # contacted drain between two gates
    resistors: tuple[str, str]  # models of the large and of the small ones; "": none in the installed models
    capacitor: str


CHOICES = {
    "gf180mcu": Choice(
        nmos="nfet_03v3",
        pmos="pfet_03v3",
        pair=0.5e-6,
        mirror=1e-6,
        sink=1.5e-6,
        cascode=0.4e-6,
        driver=0.35e-6,
        diode=1e-6,
        diffusion=0.44e-6,
        resistors=("ppolyf_u_1k", "ppolyf_u"),
        capacitor="cap_mim_1f5fF",
    ),
    # The p-channel transistors of low threshold, since half of 1.8 V leaves the usual ones of 1 V no room.
    "sky130": Choice(
        nmos="sky130_fd_pr__nfet_01v8__model",
        pmos="sky130_fd_pr__pfet_01v8_lvt__model",
        pair=0.8e-6,
        mirror=2e-6,
        sink=2e-6,
        cascode=0.5e-6,
        driver=0.5e-6,
        diode=4e-6,
        diffusion=0.29e-6,
        resistors=("", ""),
        capacitor="sky130_fd_pr__cap_mim_m3_1",
    ),
}
PLAIN = (
    "* Resistors are plain ones: the installed models lack the high-resistance poly that they would be (2 kohm a square, and 0.32 kohm",
    "* with the opposite temperature coefficient, in series), so corners and temperature do not move them.",
)
GRID = np.linspace(0.2, 1.5, 66)  # V
WIDEST = 100e-6  # m, that the models are made for
WIDTH = 10e-6  # m, of the transistors in the tables


class Table:
    """I_D / W and g_m / I_D of one kind and length over V_GS, with a quarter of the supply from drain to source."""

    def __init__(self, known: Process, model: str, length: float) -> None:
        sign = -1.0 if known.transistors[model].kind == "PMOS" else 1.0
        cards = [f"table of {model}", f".lib pdk:{known.name} tt"]
        for k, volts in enumerate(GRID.tolist()):
            cards += [
                f"VG{k} g{k} 0 {sign * volts!r}",
                f"VD{k} d{k} 0 {sign * known.supply / 4!r}",
                f"M{k} d{k} g{k} 0 0 {model} w={WIDTH!r} l={length!r}",
                f"H{k} i{k} 0 VD{k} 1",
            ]
        found = run(parse_spice("\n".join(cards)), OperatingPoint()).voltages
        self.current = np.array([abs(found[f"i{k}"]) for k in range(len(GRID))])
        self.ratio = np.gradient(np.log(self.current), GRID)

    def width(self, current: float, ratio: float) -> float:
        """Width, m, that carries a current at this g_m / I_D."""
        # Above its maximum in weak inversion the ratio says nothing.
        kept = slice(int(np.argmax(self.ratio)), None)
        log_current = np.interp(-ratio, -self.ratio[kept], np.log(self.current[kept]))
        return float(current * WIDTH / np.exp(log_current))

    def gate(self, current: float, width: float) -> float:
        """|V_GS|, V."""
        return float(np.interp(math.log(current / width * WIDTH), np.log(self.current), GRID))

    def width_at(self, current: float, volts: float) -> float:
        """Width, m, that carries a current at this |V_GS|."""
        return float(current * WIDTH / np.exp(np.interp(volts, GRID, np.log(self.current))))


def micro(metres: float, step: float = 0.05) -> str:
    """On a grid, in um."""
    return f"{max(round(metres * 1e6 / step), 1) * step:.4g}u"


def netlist(name: str) -> str:
    """The amplifier's text in a process."""
    known, choice = process(name), CHOICES[name]
    n, p, long = choice.nmos, choice.pmos, choice.mirror
    table = {
        "pair": Table(known, p, choice.pair),
        "pmos": Table(known, p, long),
        "nmos": Table(known, n, choice.sink),
        "pmos cascode": Table(known, p, choice.cascode),
        "nmos cascode": Table(known, n, choice.cascode),
        "nmos diode": Table(known, n, choice.diode),
        "driver": Table(known, n, choice.driver),
    }
    gm1 = 2 * math.pi * GBW * PAIR_CAPACITOR
    gm2 = 2 * math.pi * DISTANCE * GBW * (LOAD + OWN)
    # Units of each branch. Half a unit flows past the pair into each cascode, which starts the stage where all nodes are at the supply.
    load = round(gm1 / PAIR / UNIT + 0.5)
    first = (load - 0.5) * UNIT
    tail = 2 * load  # the pair, and one unit for the diode that biases its cascodes
    out = round(gm2 / DRIVER / UNIT)
    sensing = 2  # of the common-mode amplifier, each side

    unit_p, unit_n = table["pmos"].width(UNIT, MIRROR), table["nmos"].width(UNIT, MIRROR)
    pair, sense = table["pair"].width(first, gm1 / first), table["pair"].width(sensing * UNIT, SENSE)
    cascode_p = table["pmos cascode"].width(load * UNIT, CASCODE)
    cascode_n = table["nmos cascode"].width(load * UNIT, CASCODE)
    # A diode whose gate is ROOM beyond what the cascode needs leaves that to the transistor below.
    diode_p = table["pmos"].width_at(UNIT, table["pmos cascode"].gate(load * UNIT, cascode_p) + ROOM)
    diode_n = table["nmos diode"].width_at(UNIT, table["nmos cascode"].gate(load * UNIT, cascode_n) + ROOM)
    driver = table["driver"].width(out * UNIT, gm2 / (out * UNIT))
    bias = (known.supply - table["pmos"].gate(UNIT, unit_p)) / (2 * UNIT)

    def mos(name: str, nodes: str, model: str, width: float, length: float, many: int = 1) -> str:
        if width > WIDEST:
            return mos(name, nodes, model, width / 2, length, 2 * many)
        # Folded once: the drain lies between two gates, the sources are outside.
        ends = choice.diffusion
        areas = f"ad={width / 2 * ends:.3g} as={width * ends:.3g} pd={2 * ends + width:.3g} ps={4 * ends + width:.3g}"
        return f"{name} {nodes} {model} w={micro(width)} l={length * 1e6:g}u {areas}" + (
            f" m={many}" if many > 1 else ""
        )

    def mirror_p(name: str, nodes: str, many: int = 1) -> str:
        return mos(name, nodes, p, unit_p, long, many)

    def mirror_n(name: str, nodes: str, many: int = 1) -> str:
        return mos(name, nodes, n, unit_n, choice.sink, many)

    def resistor(name: str, nodes: str, ohm: float, model: str) -> str:
        if not model:
            return f"{name} {nodes} {ohm:.4g}"
        part = known.resistors[model]
        length = part.length(RESISTOR_WIDTH, ohm)
        size = f"{part.width_parameter}={micro(RESISTOR_WIDTH)} {part.length_parameter}={micro(length)}"
        return f"X{name} {nodes} vss {model} {size}"

    def capacitor(name: str, nodes: str, farad: float) -> str:
        part = known.capacitors[choice.capacitor]
        side = f"{part.side(farad) / part.parameter_unit:.4g}"
        return f"X{name} {nodes} {part.model} {part.width_parameter}={side} {part.length_parameter}={side}"

    large, small = choice.resistors
    supply, total = known.supply, 2 + 1 + 1 + tail + 2 * out + 2 * sensing + 1
    return "\n".join(
        [
            f"* Fully differential amplifier, {known.title}: telescopic first stage of p-channel inputs, second stage, Miller capacitors",
            f"* Sizes by size_amplifier.py: GBW {GBW / 1e6:g} MHz with {LOAD * 1e12:g} pF at each output, {total} units of "
            f"{UNIT * 1e6:g} uA. Inputs and outputs rest at ref, half of the supply of {supply:g} V.",
            f".lib pdk:{name} tt",
            f".subckt {name} inp inn outp outn vdd vss ref",
            *([] if large else PLAIN),
            "* Bias: a resistor makes the current, so nothing needs to be started and none is ideal; it moves with the resistor's corner",
            "* and with the supply, as the figures over corners show.",
            resistor("RB", "pb vss", bias, large),
            mirror_p("MB1", "pb pb vdd vdd", 2),
            mirror_p("MB2", "nb pb vdd vdd"),
            mirror_n("MB3", "nb nb vss vss"),
            "* Gates of the cascodes: diodes with more overdrive than the cascodes, by what the transistor below needs. That of the",
            "* p-channel ones hangs on the sources of the pair, so that it follows the inputs.",
            mos("MB4", "cp cp tail tail", p, diode_p, long),
            mirror_n("MB5", "cp nb vss vss"),
            mirror_p("MB6", "cn pb vdd vdd"),
            mos("MB7", "cn cn vss vss", n, diode_n, choice.diode),
            "* First stage. Its wells are at the sources, without body effect.",
            mirror_p("MT", "tail pb vdd vdd", tail),
            mos("M1", "x1 inp tail tail", p, pair, choice.pair),
            mos("M2", "x2 inn tail tail", p, pair, choice.pair),
            mos("M3", "y1 cp x1 tail", p, cascode_p, choice.cascode),
            mos("M4", "y2 cp x2 tail", p, cascode_p, choice.cascode),
            mos("M5", "y1 cn z1 vss", n, cascode_n, choice.cascode),
            mos("M6", "y2 cn z2 vss", n, cascode_n, choice.cascode),
            mirror_n("M7", "z1 fb vss vss", load),
            mirror_n("M8", "z2 fb vss vss", load),
            "* Half a unit past the pair: with inputs and outputs at vdd the pair is off, and this still lifts the drivers' gates.",
            mos("MK1", "x1 pb vdd vdd", p, unit_p / 2, long),
            mos("MK2", "x2 pb vdd vdd", p, unit_p / 2, long),
            "* Second stage, of class A: it drives a load with its own current at most.",
            mos("M9", "outp y1 vss vss", n, driver, choice.driver),
            mos("M10", "outn y2 vss vss", n, driver, choice.driver),
            mirror_p("M11", "outp pb vdd vdd", out),
            mirror_p("M12", "outn pb vdd vdd", out),
            "* Compensation; the resistor moves the zero to infinity.",
            resistor("RZ1", "y1 k1", 1 / gm2, small),
            capacitor("CC1", "k1 outp", PAIR_CAPACITOR),
            resistor("RZ2", "y2 k2", 1 / gm2, small),
            capacitor("CC2", "k2 outn", PAIR_CAPACITOR),
            "* Common mode: the mean of the outputs by resistors, linear over the whole swing, with capacitors past the gate they drive;",
            "* compared with ref, and returned to the gates of the first stage's loads. It has half the pair's g_m or less, so that its",
            "* loop, through the same compensation, is slower than the differential one.",
            resistor("RS1", "outp s", AVERAGING, large),
            resistor("RS2", "outn s", AVERAGING, large),
            capacitor("CS1", "outp s", BYPASS),
            capacitor("CS2", "outn s", BYPASS),
            mirror_p("MC5", "ct pb vdd vdd", 2 * sensing),
            mos("MC1", "fb s ct ct", p, sense, choice.pair),
            mos("MC2", "e ref ct ct", p, sense, choice.pair),
            "* Under a cascode as the loads are, so that both have one drain voltage and ref is met.",
            mos("MC6", "fb cn w vss", n, cascode_n * sensing / load, choice.cascode),
            mirror_n("MC3", "w fb vss vss", sensing),
            mirror_n("MC4", "e e vss vss", sensing),
            f".ends {name}",
            ".end",
            "",
        ]
    )


def main(arguments: list[str] | None = None) -> str:
    """Print or write the netlist; its text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("process", choices=list(CHOICES))
    parser.add_argument("--out", type=Path, help="file to write; default: print")
    options = parser.parse_args(arguments)
    text = netlist(options.process)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
        print(f"wrote {options.out}")
    else:
        print(text)
    return text


if __name__ == "__main__":
    main()
