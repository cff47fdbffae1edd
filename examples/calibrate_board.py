"""R3 and the capacitors of a real board from its noise: which measurements identify them, and which only seem to.

    python examples/calibrate_board.py --data FOLDER --plot out/calibration.png        (a minute and a half on one core)

The board and its netlist are those of `two_node_board.py` (github.com/colinc86/thermodynamic-solver, data under CC BY 4.0; docs/lab.md
says what to download). A multimeter measured its parts; here they are unknown, as on a chip, but for R1, R2 and R4. The published
measurements become two tables of `devicemodel.calibration.measured.measurements`: 41 densities of node 1, with the number of averages
that 18 s and a Hann window give, and the correlation of the nodes in six bands, with the sampling error that the nominal netlist implies.
Four calibrations:

    A  the netlist as drawn, from the spectrum of node 1; the correlations are held out
    B  with white noise after the network (an oscilloscope's), from the same spectrum
    C  with noise of each channel's own and common to both, from spectrum and correlations
    D  as C, with R3, C1 and C2 held at the multimeter's values: whether these are possible together, and not only one by one

The author names a pickup at 0.8 - 1.6 kHz. C and D leave these frequencies and the two bands that reach into them out of the fit from the
start, and of the other frequencies every fifth one is held out. `--write` keeps tables, calibrations and the netlist.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from thermograd.circuits import VCVS, Netlist, Resistor, noise_covariance, noise_spectrum
from thermograd.devicemodel import CircuitCalibration, Measurements, calibrate_from_measurements, check_measurements

PICKUP = (800.0, 1600.0)  # Hz
SOUGHT = ("R3", "C1", "C2")
#: Starting values: nominal parts, the drives as computed, and 0.3 uV/rtHz of noise after the network.
START = {"gain_A": 1.0, "gain_B": 1.0, "own_noise": 3e-7, "common_noise": 3e-7}
FREE = {
    "A": (*SOUGHT, "gain_A"),
    "B": (*SOUGHT, "gain_A", "own_noise"),
    "C": (*SOUGHT, "gain_A", "gain_B", "own_noise", "common_noise"),
    "D": ("gain_A", "gain_B", "own_noise", "common_noise"),
}
#: Further searches of each, as far as their time allows: a search takes up to 6 s of one core, that of C.
STARTS = {"A": 4, "B": 6, "C": 1, "D": 0}


def sibling(name: str) -> ModuleType:
    """Another example, by its path: the folder is no package."""
    specification = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


BOARD = sibling("two_node_board")


def tables(folder: Path, nominal: dict[str, float]) -> tuple[Measurements, Measurements]:
    """The published spectrum and correlations, of the voltages m1 and m2 that the oscilloscope saw."""
    rows = BOARD.read(folder / "psd-node1.csv")
    spectrum = Measurements.of(
        "spectrum",
        source="psd-node1",
        frequency_hz=BOARD.column(rows, "freq_Hz"),
        node="m1",
        density_v2_per_hz=BOARD.column(rows, "measured_V_per_rtHz") ** 2,
        # The frequencies are multiples of 9.54 Hz, so that a Hann window resolves 1.5 times that.
        averages=BOARD.RECORDED * 1.5 * 9.54,
    )
    rows = BOARD.read(folder / "rho-by-band.csv")
    low, high = BOARD.column(rows, "band_lo_Hz"), BOARD.column(rows, "band_hi_Hz")
    space = BOARD.law(BOARD.board(nominal))
    errors = [
        BOARD.standard_errors(space, nominal, BOARD.RECORDED, *band)["rho12"] for band in zip(low, high, strict=True)
    ]
    correlation = Measurements.of(
        "correlation",
        source="rho-by-band",
        node_a="m1",
        node_b="m2",
        f_lo_hz=low,
        f_hi_hz=high,
        correlation=BOARD.column(rows, "rho_measured"),
        std=errors,
    )
    return spectrum, correlation


def model(known: dict[str, float], values: Mapping[str, float]) -> Netlist:
    """The board, read through amplifiers of gain 1 with noise of their own and in common."""
    drawn = BOARD.board({**known, **{name: values[name] for name in SOUGHT if name in values}})
    netlist = Netlist(drawn.title, drawn.temperature)
    for part in drawn:
        if part.name in ("EOA", "EOB"):
            gain = values.get(f"gain_{part.name[-1]}", 1.0)
            part = VCVS(part.name, part.a, part.b, part.cp, part.cm, gain)
        netlist.add(part)
    density = 4 * BOARD.BOLTZMANN * BOARD.TEMPERATURE  # V^2/Hz for each ohm
    common = "0"
    if "common_noise" in values:
        common = "common"
        netlist.add(Resistor("RXC", "xc", "0", values["common_noise"] ** 2 / density))
        netlist.add(VCVS("EXC", common, "0", "xc", "0", 1.0))
    for channel in "12":
        foot = common
        if "own_noise" in values:
            foot = f"own{channel}"
            netlist.add(Resistor(f"RX{channel}", f"x{channel}", "0", values["own_noise"] ** 2 / density))
            netlist.add(VCVS(f"EX{channel}", foot, common, f"x{channel}", "0", 1.0))
        netlist.add(VCVS(f"EM{channel}", f"m{channel}", foot, f"n{channel}", "0", 1.0))
    return netlist


def apart_from_pickup(spectrum: Measurements, correlation: Measurements) -> list[Measurements]:
    """[spectrum, correlations] without pickup, then those with it."""
    points = spectrum.columns["frequency_hz"]
    disturbed = (points >= PICKUP[0]) & (points <= PICKUP[1])
    touched = (correlation.columns["f_hi_hz"] > PICKUP[0]) & (correlation.columns["f_lo_hz"] < PICKUP[1])
    return [
        spectrum.take(~disturbed),
        correlation.take(~touched),
        spectrum.take(disturbed),
        correlation.take(touched),
    ]


def main(argv: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="holds breadboard/ (default: $THERMOGRAD_DATA)")
    parser.add_argument("--only", choices=tuple(FREE), action="append", help="one calibration (may be repeated)")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the tables and the calibrations")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture (.png, .svg, .pdf)")
    arguments = parser.parse_args(argv)
    try:
        folder = BOARD.find_data(arguments.data)
    except FileNotFoundError as error:
        parser.error(str(error))
    parts = {row["part"]: row for row in BOARD.read(folder / "components.csv")}
    meter = {name: float(row["measured"]) for name, row in parts.items()}
    nominal = {name: float(row["nominal"]) for name, row in parts.items()}
    start = {**{name: nominal[name] for name in SOUGHT}, **START}
    spectrum, correlation = tables(folder, nominal)
    clean, bands, disturbed, touched = apart_from_pickup(spectrum, correlation)
    fitted, held = clean.split(5)
    plan = {
        "A": ([spectrum], [correlation]),
        "B": ([spectrum], [correlation]),
        "C": ([fitted, bands], [held]),
        "D": ([fitted, bands], [held]),
    }

    def circuit(values: Mapping[str, float]) -> Netlist:
        return model(meter, values)

    found: dict[str, CircuitCalibration] = {}
    for name in arguments.only or plan:
        seen, unseen = plan[name]
        card = calibrate_from_measurements(
            circuit, {key: start[key] for key in FREE[name]}, seen, unseen, starts=STARTS[name]
        )
        found[name] = card
        show(name, card, meter)
        if name == "C":
            print(f"   {'with pickup, spectrum':>28}  {check_measurements(card, circuit, [disturbed])}")
            print(f"   {'with pickup, correlations':>28}  {check_measurements(card, circuit, [touched])}")
    if arguments.write is not None:
        spectrum.write(arguments.write / "spectrum.csv")
        correlation.write(arguments.write / "correlation.csv")
        for name, card in found.items():
            card.write(arguments.write / f"calibration_{name}.json")
        # What C has, for `thermograd lab`.
        fitted.write(arguments.write / "fitted.csv")
        bands.write(arguments.write / "bands.csv")
        held.write(arguments.write / "held_out.csv")
        (arguments.write / "board.cir").write_text(model(meter, start).to_spice(), encoding="utf-8")
    figures = {"cards": found, "meter": meter, "spectrum": spectrum, "correlation": correlation, "circuit": circuit}
    if arguments.plot is not None:
        draw(arguments.plot, figures)
    return figures


def show(name: str, card: CircuitCalibration, meter: dict[str, float]) -> None:
    print(f"\n{name}  {', '.join(FREE[name])}")
    for what, text in card.summary():
        known = ""
        if what in SOUGHT:
            value = card[what]
            away = "" if value.std is None else f", {(value.value - meter[what]) / value.std:+.1f} standard errors off"
            known = f"   (multimeter {meter[what]:.4g}{away})"
        print(f"   {what:>28}  {text}{known}")


def draw(path: Path, figures: dict[str, Any]) -> None:
    """Spectrum, correlations and values."""
    from matplotlib.figure import Figure

    black, grey = "#222222", "#999999"
    colours = {"A": "#D55E00", "B": "#E69F00", "C": "#0072B2"}
    labels = {
        "A": "A: as drawn, from the spectrum",
        "B": "B: own noise, from the spectrum",
        "C": "C: all noise, from both",
    }
    figure = Figure(figsize=(11.0, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    columns, bands = figures["spectrum"].columns, figures["correlation"].columns
    kilohertz, density = columns["frequency_hz"] / 1e3, np.sqrt(columns["density_v2_per_hz"])
    edges = np.column_stack([bands["f_lo_hz"], bands["f_hi_hz"]]) / 1e3
    centres = np.sqrt(edges.prod(axis=1))
    left.errorbar(
        kilohertz, 1e6 * density, yerr=0.5e6 * density / np.sqrt(columns["averages"]), fmt="o", color=black, markersize=2.5,
        elinewidth=0.7, label="measured", zorder=1,
    )  # fmt: skip
    middle.errorbar(
        centres, bands["correlation"], xerr=np.abs(edges - centres[:, None]).T, yerr=bands["std"], fmt="o", color=black,
        markersize=3.5, elinewidth=0.8, label="measured",
    )  # fmt: skip
    for shift, (name, card) in enumerate((n, c) for n, c in figures["cards"].items() if n in colours):
        netlist = figures["circuit"](card.estimates)
        curve = noise_spectrum(netlist, ["m1"], columns["frequency_hz"]).amplitude[:, 0]
        # A and B find the same circuit: A is drawn smaller, and above.
        above = {"linestyle": "--", "zorder": 4} if name == "A" else {}
        left.loglog(kilohertz, 1e6 * curve, color=colours[name], linewidth=1.4, label=labels[name], **above)
        predicted = []
        for low, high in 1e3 * edges:
            covariance = noise_covariance(netlist, ["m1", "m2"], (low, high))
            predicted.append(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
        size = {"markersize": 3, "zorder": 4} if name == "A" else {"markersize": 7, "fillstyle": "none"}
        middle.plot(centres, predicted, "Dsv"[shift], color=colours[name], **size)
        for row, part in enumerate(SOUGHT):
            value, known = card[part], figures["meter"][part]
            place = row + 0.2 * (shift - 1)
            error = 0.0 if value.std is None else value.std / known
            right.errorbar(value.value / known, place, xerr=error, fmt="Dsv"[shift], color=colours[name], markersize=5)
            for other in card.alternatives:
                right.plot(
                    other[part] / known, place, "Dsv"[shift], color=colours[name], fillstyle="none", markersize=5
                )
    for ax in (left, middle):
        ax.axvspan(PICKUP[0] / 1e3, PICKUP[1] / 1e3, color=grey, alpha=0.2, linewidth=0)
    right.axvline(1.0, color=black, linewidth=0.7)
    left.set(xlabel="frequency (kHz)", ylabel="density at node 1 (µV/√Hz)", title="Spectrum of node 1 (grey: pickup)")
    middle.set(
        xscale="log",
        xlabel="band (kHz)",
        ylabel="correlation of the nodes",
        title="Correlation by band",
        ylim=(0, None),
    )
    right.set(
        xscale="log", xlabel="calibrated / multimeter", title="Values (open: as likely)", ylim=(len(SOUGHT) - 0.5, -0.5)
    )
    right.set_yticks(range(len(SOUGHT)), SOUGHT)
    right.set_xticks([0.05, 0.2, 0.5, 1, 2, 4])
    left.set_yticks([0.5, 1, 2, 5, 10])
    for ax in (left, middle, right):
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(lambda value, _: "")
        ax.spines[["top", "right"]].set_visible(False)
        ax.title.set_fontsize(10)
    left.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    left.yaxis.set_minor_formatter(lambda value, _: "")
    left.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
