"""Offset, gain and bandwidth of a foundry's amplifier over dies, whose transistors each have their own threshold and current factor.

    python benchmarks/circuits/amplifier_mismatch.py gf180mcu --plot docs/mismatch.png       (3 minutes of CPU)
    python benchmarks/circuits/amplifier_mismatch.py sky130

Every die is the amplifier of examples/amplifiers with the deviations that its seed draws (`circuits.draw_mismatch`), in ngspice. Beside the
standard deviations that are found stand those of

    small signals    sqrt(sum_k (slope_k sigma_k)^2) with the slopes of `amplifier_sensitivities`: every transistor, none of the dies
    input pair       A_VT / sqrt(W_eff L_eff m), Pelgrom's hand formula
    pair and load    the same with the load's transistors, and with the current factors, all referred to the input by g_m:
                     sum_k (g_k / g_in)^2 [sigma_v^2 + (sigma_b I_k / g_k)^2]; g and I of each transistor alone, at its voltages

and the share of each figure's variance that the slopes explain die by die. `--scale 2` draws twice the mismatch: the control.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np

from thermograd.circuits import (
    CCVS,
    AmplifierSensitivities,
    MismatchBench,
    Mosfet,
    Netlist,
    OperatingPoint,
    Pelgrom,
    VoltageSource,
    amplifier_sensitivities,
    draw_mismatch,
    run,
    transistors_of,
)
from thermograd.circuits.amplifiers.process_amplifier import process_amplifier
from thermograd.circuits.technology.pdk.registry import process

PAIR, LOADS = ("M1", "M2"), ("M7", "M8", "MK1", "MK2")
LOAD_RESISTANCE, LOAD_CAPACITANCE = 27e3, 5e-13  # ohm, F: a column of eight unknowns
CHUNK = 48
NAMES = ("offset", "ln A0", "ln GBW")


def dies(
    bench: MismatchBench, laws: dict[str, Pelgrom], count: int, scale: float, kept: Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """Deviations and measured figures of dies 0 to count - 1, in chunks that `kept` goes on from."""
    transistors = transistors_of(bench.amplifier.parts, laws)
    drawn = scale * np.array([draw_mismatch(transistors, seed) for seed in range(count)])
    found = np.zeros((0, 3))
    if kept is not None and kept.exists():
        found = np.load(kept)[:count]
    frequency = bench.halfway()
    while len(found) < count:
        found = np.concatenate([found, bench.figures(drawn[len(found) : len(found) + CHUNK], frequency)])
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept, found)
        print(f"{len(found)} of {count} dies", flush=True)
    return drawn, found


def by_hand(bench: MismatchBench, laws: dict[str, Pelgrom]) -> dict[str, float]:
    """The offset's standard deviation by the two hand formulas, V."""
    parts = {part.name.split("_")[0]: part for part in bench.amplifier.parts.of(Mosfet)}
    sizes = {one.name.split("_")[0]: one for one in transistors_of(bench.amplifier.parts, laws)}
    small = {name: _small_signal(bench, parts[name]) for name in (*PAIR, *LOADS) if name in parts}
    pair = math.hypot(*(sizes[name].threshold for name in PAIR))
    (g_in, _), total = small[PAIR[0]], 0.0
    for name, (g, current) in small.items():
        one = sizes[name]
        total += (g / g_in) ** 2 * (one.threshold**2 + (one.current_factor * current / g) ** 2)
    return {"input pair": pair, "pair and load": math.sqrt(total)}


def _small_signal(bench: MismatchBench, part: Mosfet) -> tuple[float, float]:
    """g_m (S) and |I_D| (A) of one transistor alone, at the voltages that it has in the amplifier at rest."""
    rest, step, found = bench.at_rest(), 1e-4, []
    for shift in (-step, step):
        netlist = Netlist("one transistor", temperature=bench.kelvin)
        volts = [rest[node] for node in part.nodes]
        for name, value in zip("dgsb", volts, strict=True):
            netlist.add(VoltageSource(f"V{name}", name, "0", value + (shift if name == "g" else 0.0)))
        netlist.add(Mosfet("M1", "d", "g", "s", "b", part.model, part.parameters), CCVS("H1", "i", "0", "Vd", 1.0))
        found.append(abs(run(netlist, OperatingPoint(("i",))).voltages["i"]))
    low, high = found
    return abs(high - low) / (2 * step), (low + high) / 2


def report(
    sensitivities: AmplifierSensitivities, drawn: np.ndarray, found: np.ndarray, hand: dict[str, float]
) -> dict[str, float]:
    """Print the tables; the figures behind them."""
    predicted = sensitivities.figures(drawn)
    measured, linear = (np.column_stack([one[:, 0], np.log(one[:, 1:])]) for one in (found, predicted))
    spread, count = measured.std(axis=0, ddof=1), len(found)
    error = spread / math.sqrt(2 * (count - 1))
    explained = 1 - ((measured - linear) ** 2).mean(axis=0) / measured.var(axis=0)
    print(f"\nnominal: A0 {sensitivities.gain:.4g}, GBW {sensitivities.gbw / 1e6:.4g} MHz; {count} dies")
    print(
        "figure     mean           standard deviation           by small signals   away, standard errors   explained, %"
    )
    scales, units = (1e3, 100.0, 100.0), ("mV", "%", "%")
    middle = measured.mean(axis=0) - np.array([0.0, math.log(sensitivities.gain), math.log(sensitivities.gbw)])
    for k, name in enumerate(NAMES):
        away = (spread[k] - sensitivities.deviations[k]) / error[k]
        mean, sd, own, formula = (
            f"{scales[k] * value:9.4f}" for value in (middle[k], spread[k], error[k], sensitivities.deviations[k])
        )
        print(
            f"{name:8s} {mean} {units[k]:2s} {sd} +-{own} {units[k]:2s} {formula} {units[k]:2s} {away:14.2f} {100 * explained[k]:16.2f}"
        )
    for name, volts in hand.items():
        print(f"offset by hand, {name}: {1e3 * volts:.4f} mV, {volts / spread[0]:.3f} of the dies'")
    correlation = np.corrcoef(measured.T)
    print(f"correlation of offset with gain {correlation[0, 1]:.3f}, of gain with bandwidth {correlation[1, 2]:.3f}")
    return {
        **{f"sd {name}": float(value) for name, value in zip(NAMES, spread, strict=True)},
        **{f"small signal {name}": float(value) for name, value in zip(NAMES, sensitivities.deviations, strict=True)},
        **{f"explained {name}": float(value) for name, value in zip(NAMES, explained, strict=True)},
        **hand,
    }


def plot(path: Path, sensitivities: AmplifierSensitivities, drawn: np.ndarray, found: np.ndarray, title: str) -> None:
    """Distributions with the law that the slopes predict, and offsets die by die."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.1), layout="constrained")
    axes = figure.subplots(1, 4)
    values = (1e3 * found[:, 0], found[:, 1] / 1e3, found[:, 2] / 1e6)
    centres = (1e3 * sensitivities.offset, sensitivities.gain / 1e3, sensitivities.gbw / 1e6)
    labels = ("offset (mV)", "gain A₀ (thousands)", "gain-bandwidth product (MHz)")
    for k, (ax, value, centre, label) in enumerate(zip(axes, values, centres, labels, strict=False)):
        ax.hist(value, bins=30, density=True, color="C0", alpha=0.45)
        at = np.linspace(value.min(), value.max(), 200)
        sigma = sensitivities.deviations[k] * (1e3 if k == 0 else 1.0)
        z = (at - centre) / sigma if k == 0 else np.log(at / centre) / sigma
        ax.plot(
            at, np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) / sigma / (1.0 if k == 0 else at), color="black", lw=1.1
        )
        ax.set(xlabel=label, yticks=[])
    predicted = 1e3 * sensitivities.figures(drawn)[:, 0]
    axes[3].plot(predicted, values[0], ".", markersize=3, alpha=0.5)
    ends = [predicted.min(), predicted.max()]
    axes[3].plot(ends, ends, color="black", lw=0.8)
    axes[3].set(xlabel="offset by the slopes (mV)", ylabel="in ngspice (mV)")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"wrote {path}")


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Run it all and print; the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("process", choices=("gf180mcu", "sky130"))
    parser.add_argument("--dies", type=int, default=500)
    parser.add_argument("--scale", type=float, default=1.0, help="of the dies' mismatch; the formulas keep 1")
    parser.add_argument("--kept", type=Path, help="file of measured dies, .npy, that an interrupted run goes on from")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    laws = process(options.process).pelgrom
    bench = MismatchBench(process_amplifier(options.process), LOAD_RESISTANCE, LOAD_CAPACITANCE)
    sensitivities = amplifier_sensitivities(bench, laws)
    drawn, found = dies(bench, laws, options.dies, options.scale, options.kept)
    figures = report(sensitivities, drawn, found, by_hand(bench, laws))
    if options.plot:
        plot(
            options.plot,
            sensitivities,
            drawn,
            found,
            f"{options.process}, {options.dies} dies: measured, and by the slopes",
        )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2))
    return figures


if __name__ == "__main__":
    main()
