"""A real two-node RC board against its netlist: correlation by band, spectrum, precision against time.

    python examples/two_node_board.py --data FOLDER --plot out/board.png        (about 15 s on two cores)

The board (github.com/colinc86/thermodynamic-solver, data under CC BY 4.0) is a thermodynamic computer of two unknowns. Each node is
driven by the Johnson noise of its own 10 kOhm resistor, amplified some 1100 times by two op-amp stages:

    R11 -- stage -- stage -- R1 -- node 1 --+-- R3 --+-- node 2 -- R2 -- stage -- stage -- R12
                                     C1 ground     C2, R4 ground

With equal drives into equal capacitors the covariance of the two nodes is a multiple of G^-1. The netlist here is built by hand, since
the compiler's `rc` fabric is another circuit: it has Johnson noise of the network's own resistors only, no amplifiers, no bandwidth.
Every value is from `components.csv` or the data's README; nothing is fitted. Three ways lead from the netlist to a prediction:

    law        spectral matrix from the state space, integrated over the band
    .noise     ngspice's small-signal noise of node 1, node 2 and their difference
    transient  ngspice in time with seeded noise, cut into records and filtered as the board's were

Measured values come with their published standard errors, or, where none is published, with the sampling error that the predicted
spectrum implies for the 18 s that were recorded. `--data` (or the environment variable THERMOGRAD_DATA) names the folder that holds
`breadboard/`.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from thermograd.circuits import (
    VCVS,
    Capacitor,
    Netlist,
    Noise,
    Resistor,
    StateSpace,
    Transient,
    VoltageSource,
    johnson_currents,
    run,
    run_many,
    state_space,
)

BOLTZMANN = 1.380649e-23  # J/K

# From the README of the data.
TEMPERATURE = 297.0  # K
GAIN_BANDWIDTH = 14e6  # Hz
GAINS = {"A": (11.03, 1125.0), "B": (11.05, 1130.0)}  # of the first stage, and of both
CURRENT_NOISE = 0.83e-12  # A/rtHz, measured
VOLTAGE_NOISE = 9e-9  # V/rtHz, "about"
BAND = (200.0, 50e3)  # Hz
RECORDED = 30 * 0.6  # s

INTERFERENCE = {
    "v1_over_v2": 0.015 * 1.134,
    "rho12": 0.009 * 0.3596,
    "identity_offdiag_pct": 1.14,
    "lyapunov_offdiag_pct": 0.45,
}
"""By how much the measured figures move when the interference lines are cut out, as the board's author reports in its repository."""
STEP = 2e-6  # s
RECORD = 0.2  # s, of the transient


def find_data(option: Path | None) -> Path:
    """The folder of the board's files.

    Raises:
        FileNotFoundError: no path is given, or the file is missing.
    """
    given = option if option is not None else os.environ.get("THERMOGRAD_DATA")
    if not given:
        raise FileNotFoundError(
            "where is the data? Give --data FOLDER or set THERMOGRAD_DATA; FOLDER holds breadboard/"
        )
    for folder in (Path(given) / "breadboard", Path(given)):
        if (folder / "components.csv").is_file():
            return folder
    raise FileNotFoundError(f"no breadboard/components.csv in {str(given)!r}; correct --data FOLDER or THERMOGRAD_DATA")


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a table by the names of its columns."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    """One column as numbers."""
    return np.array([float(row[name]) for row in rows])


def board(parts: dict[str, float], amplifier_noise: bool = True, poles: bool = True) -> Netlist:
    """The board as a netlist; the variants leave out the amplifiers' own noise, or their bandwidth."""
    netlist = Netlist("two-node RC board", temperature=TEMPERATURE)
    # .noise refers its result to a source: the foot of channel A's resistor, at 0 V.
    netlist.add(VoltageSource("VREF", "ref", "0", 0.0, ac=1.0))
    for channel, foot, own in (("A", "ref", parts["R11"]), ("B", "0", parts["R12"])):
        netlist.add(Resistor(f"RS{channel}", f"s{channel}", foot, own))
        tip = f"s{channel}"
        if amplifier_noise:
            # An amplifier's input takes no current, so a resistor in front of it adds its noise and changes nothing else:
            # e^2 / 4kT for a voltage noise e, and the current noise makes e = i R of the source.
            added = VOLTAGE_NOISE**2 + (CURRENT_NOISE * own) ** 2
            netlist.add(Resistor(f"RN{channel}", tip, f"t{channel}", added / (4 * BOLTZMANN * TEMPERATURE)))
            tip = f"t{channel}"
        first, both = GAINS[channel]
        for stage, gain in ((1, first), (2, both / first)):
            ideal, limited = f"e{stage}{channel}", f"f{stage}{channel}"
            netlist.add(VCVS(f"E{stage}{channel}", ideal, "0", tip, "0", gain))
            tip = ideal
            if poles:
                # One pole at GBW / gain, by a noiseless RC whose voltage the next stage senses.
                netlist.add(
                    Resistor(f"RP{stage}{channel}", ideal, limited, 1e3, noisy=False),
                    Capacitor(f"CP{stage}{channel}", limited, "0", gain / (2 * np.pi * GAIN_BANDWIDTH * 1e3)),
                )
                tip = limited
        netlist.add(VCVS(f"EO{channel}", f"out{channel}", "0", tip, "0", 1.0))
    netlist.add(
        Resistor("R1", "outA", "n1", parts["R1"]),
        Resistor("R2", "outB", "n2", parts["R2"]),
        Resistor("R3", "n1", "n2", parts["R3"]),
        Resistor("R4", "n2", "0", parts["R4"]),
        Capacitor("C1", "n1", "0", parts["C1"]),
        Capacitor("C2", "n2", "0", parts["C2"]),
    )
    return netlist


def network(parts: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """G (S) and C (F) of the two nodes."""
    coupling = 1 / parts["R3"]
    first, second = 1 / parts["R1"] + coupling, 1 / parts["R2"] + coupling + 1 / parts["R4"]
    return np.array([[first, -coupling], [-coupling, second]]), np.diag([parts["C1"], parts["C2"]])


# ---------------------------------------------------------------- what a spectral matrix predicts


def law(netlist: Netlist) -> StateSpace:
    """The netlist's state space with the two nodes as outputs."""
    return state_space(netlist, {"v1": ("n1", "0"), "v2": ("n2", "0")})


def spectrum(space: StateSpace, frequency: np.ndarray) -> np.ndarray:
    """(F, 2, 2) two-sided spectral matrix of the nodes, V^2/Hz."""
    s = 2j * np.pi * frequency[:, None, None]
    transfer = space.H @ np.linalg.solve(s * np.eye(space.size) - space.F, space.Bn.astype(complex)) + space.Dn
    return transfer @ space.noise_density @ transfer.conj().transpose(0, 2, 1)


def grid(low: float, high: float) -> np.ndarray:
    """Frequencies dense enough that the trapezoidal rule is exact to 1e-6."""
    return np.geomspace(low, high, 2000)


def band_covariance(space: StateSpace, low: float, high: float) -> np.ndarray:
    """(2, 2) covariance of the nodes seen through an ideal band-pass filter, V^2."""
    frequency = grid(low, high)
    return np.trapezoid(2 * spectrum(space, frequency).real, frequency, axis=0)


def sampling_covariance(space: StateSpace, low: float, high: float, time: float) -> np.ndarray:
    """(2, 2, 2, 2) covariance of the estimated covariances S_ij and S_kl after `time` seconds.

    For a Gaussian process cov(S_ij, S_kl) = (1 / time) * integral over both signs of f of  P_ik P_jl* + P_il P_jk*.
    """
    frequency = grid(low, high)
    p = spectrum(space, frequency)
    products = np.einsum("fik,fjl->fijkl", p, p.conj()) + np.einsum("fil,fjk->fijkl", p, p.conj())
    return 2 * np.trapezoid(products.real, frequency, axis=0) / time


def figures_of(covariance: np.ndarray, parts: dict[str, float]) -> dict[str, float]:
    """The published figures of a covariance matrix; the last two vanish where it is a multiple of G^-1, and for any drives."""
    conductance, capacitance = network(parts)
    product = covariance @ conductance
    lyapunov = conductance @ covariance @ capacitance
    lyapunov = lyapunov + lyapunov.T
    first, second = np.sqrt(np.diag(covariance))
    return {
        "v1_mV": 1e3 * first,
        "v2_mV": 1e3 * second,
        "v1_over_v2": first / second,
        "rho12": covariance[0, 1] / (first * second),
        "identity_offdiag_pct": 100 * product[0, 1] / math.sqrt(product[0, 0] * product[1, 1]),
        "lyapunov_offdiag_pct": 100 * lyapunov[0, 1] / math.sqrt(lyapunov[0, 0] * lyapunov[1, 1]),
    }


def standard_errors(
    space: StateSpace, parts: dict[str, float], time: float, low: float = BAND[0], high: float = BAND[1]
) -> dict[str, float]:
    """Sampling errors of `figures_of` after `time` seconds: first-order propagation, derivatives by differences."""
    covariance, spread = band_covariance(space, low, high), sampling_covariance(space, low, high, time)
    entries = ((0, 0), (1, 1), (0, 1))
    scatter = np.array([[spread[a + b] for b in entries] for a in entries])
    gradients: dict[str, list[float]] = {}
    for i, j in entries:
        change = np.zeros((2, 2))
        change[i, j] = change[j, i] = 1e-5 * covariance[0, 0]
        up, down = figures_of(covariance + change, parts), figures_of(covariance - change, parts)
        for name in up:
            gradients.setdefault(name, []).append((up[name] - down[name]) / (2e-5 * covariance[0, 0]))
    return {name: float(math.sqrt(np.array(g) @ scatter @ np.array(g))) for name, g in gradients.items()}


def precision(space: StateSpace, windows: np.ndarray) -> np.ndarray:
    """Relative standard deviation of node 1's variance, measured in the band over windows of these lengths (s)."""
    return np.array(
        [
            math.sqrt(sampling_covariance(space, *BAND, window)[0, 0, 0, 0]) / band_covariance(space, *BAND)[0, 0]
            for window in windows
        ]
    )


# ---------------------------------------------------------------- ngspice


def noise_spectra(netlist: Netlist) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (F,), and one-sided densities (F, 3) in V^2/Hz of node 1, node 2 and their difference, by `.noise`."""
    outputs: tuple[str | tuple[str, str], ...] = ("n1", "n2", ("n1", "n2"))
    results = [run(netlist, Noise(output, "VREF", 100.0, 1e5, points_per_decade=400)) for output in outputs]
    return results[0].frequency, np.column_stack([result.density**2 for result in results])


def noise_covariance(frequency: np.ndarray, density: np.ndarray, low: float, high: float) -> np.ndarray:
    """(2, 2) covariance of the band; the difference of the nodes gives their correlation."""
    points = np.concatenate([[low], frequency[(frequency > low) & (frequency < high)], [high]])
    one, two, difference = (
        np.trapezoid(np.exp(np.interp(np.log(points), np.log(frequency), np.log(d))), points) for d in density.T
    )
    both = (one + two - difference) / 2
    return np.array([[one, both], [both, two]])


def band_pass(voltages: np.ndarray) -> np.ndarray:
    """(T, 2) of one record without what lies outside the band, as the board's records were filtered."""
    frequency = np.fft.rfftfreq(len(voltages), STEP)
    transform = np.fft.rfft(voltages, axis=0)
    transform[(frequency < BAND[0]) | (frequency > BAND[1])] = 0
    return np.fft.irfft(transform, len(voltages), axis=0)


def simulate(netlist: Netlist, records: int, seed: int) -> np.ndarray:
    """(records, T, 2) band-limited node voltages."""
    burn_in = 1e-3  # ten times the slowest time constant of 92 us
    analysis = Transient(RECORD + burn_in, step=STEP, nodes=("n1", "n2"), noise=True)
    found: list[np.ndarray] = [np.zeros(0)] * records
    streams = np.random.SeedSequence(seed).spawn(records)
    for index, result in run_many((netlist, analysis, stream) for stream in streams):
        if isinstance(result, Exception):
            raise result
        voltages = np.column_stack([result.voltages["n1"], result.voltages["n2"]])
        found[index] = band_pass(voltages[round(burn_in / STEP) :])
    return np.array(found)


# ---------------------------------------------------------------- the comparison


def main(argv: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="holds breadboard/ (default: $THERMOGRAD_DATA)")
    parser.add_argument("--records", type=int, default=10, help=f"records of {RECORD} s to simulate (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated noise (default 1)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture (.png, .svg, .pdf)")
    arguments = parser.parse_args(argv)
    if arguments.records < 1:
        parser.error("--records must be at least 1")
    try:
        folder = find_data(arguments.data)
    except FileNotFoundError as error:
        parser.error(str(error))
    tables = {
        name: read(folder / f"{name}.csv") for name in ("results", "rho-by-band", "psd-node1", "precision-vs-time")
    }
    parts = {row["part"]: float(row["measured"]) for row in read(folder / "components.csv")}

    netlist = board(parts)
    space = law(netlist)
    thermal_only = law(board(parts, amplifier_noise=False))
    no_poles = law(board(parts, poles=False))
    frequency, density = noise_spectra(netlist)
    records = simulate(netlist, arguments.records, arguments.seed)
    simulated_time = arguments.records * RECORD
    pooled = np.einsum("rti,rtj->ij", records, records) / (records.shape[0] * records.shape[1])

    # 1. Figures of the whole band.
    predicted = figures_of(band_covariance(space, *BAND), parts)
    figures: dict[str, Any] = {
        "measured": {row["quantity"]: float(row["measured"]) for row in tables["results"]},
        "measured_error": {row["quantity"]: float(row["std_err"]) for row in tables["results"]},
        "author": {row["quantity"]: float(row["author_model"]) for row in tables["results"]},
        "law": predicted,
        "law_no_poles": figures_of(band_covariance(no_poles, *BAND), parts),
        "law_johnson_only": figures_of(band_covariance(thermal_only, *BAND), parts),
        "noise": figures_of(noise_covariance(frequency, density, *BAND), parts),
        "transient": figures_of(pooled, parts),
        "transient_error": standard_errors(space, parts, simulated_time),
        "expected_error": standard_errors(space, parts, RECORDED),
        "step_bias": johnson_currents(netlist, STEP).bias,
    }

    # 2. Correlation in bands.
    bands = list(
        zip(column(tables["rho-by-band"], "band_lo_Hz"), column(tables["rho-by-band"], "band_hi_Hz"), strict=True)
    )
    figures["bands"] = bands
    figures["rho_measured"] = column(tables["rho-by-band"], "rho_measured")
    figures["rho_author"] = column(tables["rho-by-band"], "author_model")
    figures["rho_law"] = np.array([figures_of(band_covariance(space, *band), parts)["rho12"] for band in bands])
    figures["rho_no_poles"] = np.array([figures_of(band_covariance(no_poles, *b), parts)["rho12"] for b in bands])
    figures["rho_noise"] = np.array(
        [figures_of(noise_covariance(frequency, density, *band), parts)["rho12"] for band in bands]
    )
    figures["rho_error"] = np.array([standard_errors(space, parts, RECORDED, *band)["rho12"] for band in bands])

    # 3. Spectrum of node 1. The table's frequencies are multiples of 9.54 Hz, so a Hann window resolves 14.3 Hz, and 18 s hold
    # 18 * 14.3 independent readings of a bin.
    points = column(tables["psd-node1"], "freq_Hz")
    figures["frequency"] = points
    figures["psd_measured"] = column(tables["psd-node1"], "measured_V_per_rtHz")
    figures["psd_author"] = column(tables["psd-node1"], "author_model_V_per_rtHz")
    figures["psd_law"] = np.sqrt(2 * spectrum(space, points)[:, 0, 0].real)
    figures["psd_johnson_only"] = np.sqrt(2 * spectrum(thermal_only, points)[:, 0, 0].real)
    figures["psd_noise"] = np.exp(np.interp(np.log(points), np.log(frequency), np.log(density[:, 0]) / 2))
    figures["psd_error"] = 0.5 / math.sqrt(RECORDED * 1.5 * 9.54)  # relative, of a bin's amplitude

    # 4. Precision against time.
    windows = column(tables["precision-vs-time"], "T_ms") * 1e-3
    counts = column(tables["precision-vs-time"], "n_windows")
    figures["windows"] = windows
    figures["eps_measured"] = column(tables["precision-vs-time"], "eps_measured")
    figures["eps_error"] = figures["eps_measured"] / np.sqrt(2 * counts)
    figures["eps_simple"] = column(tables["precision-vs-time"], "eps_theory")
    figures["eps_law"] = precision(space, windows)
    # The same formula with the measured spectrum in place of the predicted one: what a broader spectrum alone would change.
    inside = (points >= BAND[0]) & (points <= 1.01 * BAND[1])
    power = figures["psd_measured"][inside] ** 2
    area, square = (np.trapezoid(power**k, points[inside]) for k in (1, 2))
    figures["eps_from_psd"] = np.sqrt(square / windows) / area
    simulated = []
    for window in windows:
        length = round(window / STEP)
        cut = records[:, : records.shape[1] // length * length, 0]
        power = (cut.reshape(-1, length) ** 2).mean(axis=1) if cut.size else np.zeros(0)
        enough = len(power) >= 10
        simulated.append(
            (power.std(ddof=1) / power.mean(), 1 / math.sqrt(2 * len(power))) if enough else (math.nan, math.nan)
        )
    figures["eps_transient"] = np.array([value for value, _ in simulated])
    figures["eps_transient_error"] = np.array([value * error for value, error in simulated])

    show(figures, simulated_time)
    if arguments.plot is not None:
        draw(arguments.plot, figures)
        print(f"\nwrote {arguments.plot}")
    return figures


QUANTITIES = {
    "v1_mV": "node 1 (mV)",
    "v2_mV": "node 2 (mV)",
    "v1_over_v2": "ratio",
    "rho12": "correlation",
    "identity_offdiag_pct": "Cov G off-diag. (%)",
    "lyapunov_offdiag_pct": "Lyapunov off-diag. (%)",
}


def show(figures: dict[str, Any], simulated_time: float) -> None:
    """The tables, and how to read them."""
    print(f"band {BAND[0]:g} Hz to {BAND[1] / 1e3:g} kHz; measured: {RECORDED:g} s; transient: {simulated_time:g} s")
    print(
        f"\n{'':>22} {'measured':>18} {'(expected s.e.)':>16} {'law':>8} {'.noise':>8} {'transient':>18} "
        f"{'author':>8} {'measured - law':>15} {'in s.e.':>8}"
    )
    for name, label in QUANTITIES.items():
        measured, error, predicted = (figures[key][name] for key in ("measured", "measured_error", "law"))
        print(
            f"{label:>22} {measured:9.4f} +- {error:.4f} {figures['expected_error'][name]:16.4f} {predicted:8.4f} "
            f"{figures['noise'][name]:8.4f} {figures['transient'][name]:8.4f} +- {figures['transient_error'][name]:.4f} "
            f"{figures['author'][name]:8.4f} {measured - predicted:+15.4f} {(measured - predicted) / error:+8.1f}"
        )
    johnson = figures["law_johnson_only"]
    print(
        f"(without the amplifiers' own noise: node 1 {johnson['v1_mV']:.4f} mV, node 2 {johnson['v2_mV']:.4f} mV; "
        f"without their bandwidth: correlation {figures['law_no_poles']['rho12']:.4f})"
    )

    print(f"\n{'band (Hz)':>14} {'correlation':>12} {'s.e.':>7} {'law':>7} {'.noise':>7} {'author':>7} {'in s.e.':>8}")
    for (low, high), *row in zip(
        figures["bands"], figures["rho_measured"], figures["rho_error"], figures["rho_law"], figures["rho_noise"],
        figures["rho_author"], strict=True,
    ):  # fmt: skip
        measured, error, predicted, by_noise, author = row
        print(
            f"{f'{low:g} - {high:g}':>14} {measured:12.4f} {error:7.4f} {predicted:7.4f} {by_noise:7.4f} {author:7.4f} "
            f"{(measured - predicted) / error:+8.1f}"
        )

    print(f"\n{'node 1 (Hz)':>14} {'measured / law':>20} {'/ Johnson only':>15} {'/ author':>9}")
    for low, high, ratios, error in spectrum_ratios(figures):
        print(
            f"{f'{low:g} - {high:g}':>14} {ratios[0]:11.3f} +- {error * ratios[0]:.3f} {ratios[1]:15.3f} {ratios[2]:9.3f}"
        )

    print(
        f"\n{'window (ms)':>14} {'scatter of var. (%)':>20} {'law':>7} {'in s.e.':>8} {'transient':>16} "
        f"{'sqrt(2 tau/T)':>14} {'law, measured spectrum':>23}"
    )
    for k, window in enumerate(figures["windows"]):
        measured, error, predicted = (100 * figures[key][k] for key in ("eps_measured", "eps_error", "eps_law"))
        value, spread = 100 * figures["eps_transient"][k], 100 * figures["eps_transient_error"][k]
        transient = f"{value:.2f} +- {spread:.2f}" if math.isfinite(value) else "too few"
        print(
            f"{1e3 * window:14g} {measured:12.2f} +- {error:.2f} {predicted:9.2f} {(measured - predicted) / error:+8.1f} "
            f"{transient:>16} {100 * figures['eps_simple'][k]:14.2f} {100 * figures['eps_from_psd'][k]:23.2f}"
        )

    print("\nHow to read it")
    for line in reading(figures):
        print(textwrap.fill(line, width=120, initial_indent="- ", subsequent_indent="  "))


def reading(figures: dict[str, Any]) -> list[str]:
    """What agrees, what does not, and why as far as it is known. The numbers are computed, the words are for the published data."""
    measured, predicted, published = (figures[key] for key in ("measured", "law", "measured_error"))
    distance = {name: (measured[name] - predicted[name]) / published[name] for name in measured}
    total = {
        name: abs(measured[name] - predicted[name]) / math.hypot(published[name], shift)
        for name, shift in INTERFERENCE.items()
    }
    worst = max(total, key=total.__getitem__)
    drift = max(
        abs(figures["transient"][name] - predicted[name]) / figures["transient_error"][name] for name in measured
    )
    high = figures["frequency"] > 20e3
    excess = np.sqrt(np.maximum(figures["psd_measured"][high] ** 2 - figures["psd_law"][high] ** 2, 0.0))
    return [
        f"The netlist's three predictions agree: law and .noise to {_largest_difference(figures):.0e}, the transient within "
        f"{drift:.1f} of its standard errors (its step adds 0.1 % to the amplitudes in the band).",
        f"Whole band, figures without a scale: in the published standard errors Cov G agrees ({distance['identity_offdiag_pct']:+.1f}), "
        f"the others do less or not (Lyapunov {distance['lyapunov_offdiag_pct']:+.1f}, correlation {distance['rho12']:+.1f}, ratio "
        f"{distance['v1_over_v2']:+.1f}). Those errors are statistical only. If what the board's author found when cutting out "
        f"interference lines counts as an uncertainty too, the largest distance is {total[worst]:.1f} ({QUANTITIES[worst]}).",
        "By band, the correlation agrees below 1 kHz only. At 1 - 2 kHz the measured one is too low, above 2 kHz too high, so the "
        "good agreement of the whole band is in part a cancellation. The author names probe pickup at 0.8 - 1.6 kHz and noise "
        "added after the network, which raises the correlation only if it is common to both channels. The netlist has neither.",
        "Amplitudes do not agree. Johnson noise alone gives too little; with the amplifiers' noise as measured on the bench node 1 is "
        f"{100 * (predicted['v1_mV'] / measured['v1_mV'] - 1):.0f} % too large: too large below 5 kHz, about right up to 20 kHz, too small "
        "above. Noise at the amplifiers' inputs scales the whole spectrum, so no value of it fits both ends. If this budget is right, "
        f"{1e9 * np.median(excess):.0f} nV/rtHz (median above 20 kHz) are added after the network, for example by the oscilloscope.",
        "Precision: the law with both time constants and the band lies between the simple sqrt(2 tau / T) and the measurement, which "
        "it meets within about two standard errors. The measured spectrum is broader than the netlist's; put into the same formula (41 "
        "rows, so to a few percent, and without the interference lines) it gives less scatter than measured. The rows share their data.",
    ]


def spectrum_ratios(figures: dict[str, Any]) -> list[tuple[float, float, list[float], float]]:
    """(low, high, geometric means of measured over law, Johnson only and author, relative standard error) of four bands."""
    rows = []
    for low, high in ((150.0, 1e3), (1e3, 5e3), (5e3, 2e4), (2e4, 51e3)):
        inside = (figures["frequency"] >= low) & (figures["frequency"] < high)
        measured = figures["psd_measured"][inside]
        others = [figures[name][inside] for name in ("psd_law", "psd_johnson_only", "psd_author")]
        ratios = [float(np.exp(np.log(measured / other).mean())) for other in others]
        rows.append((low, high, ratios, figures["psd_error"] / math.sqrt(inside.sum())))
    return rows


def _largest_difference(figures: dict[str, Any]) -> float:
    """Between the law and `.noise`, relative, over amplitudes, correlations and spectrum."""
    pairs = [(figures["noise"][name], figures["law"][name]) for name in ("v1_mV", "v2_mV", "v1_over_v2", "rho12")]
    pairs += [*zip(figures["psd_noise"], figures["psd_law"], strict=True)]
    return max(abs(one / other - 1) for one, other in pairs)


def draw(path: Path, figures: dict[str, Any]) -> None:
    """Spectrum and its ratio, correlation by band, precision against time."""
    from matplotlib.figure import Figure

    black, blue, red, grey = "#222222", "#0072B2", "#D55E00", "#999999"
    figure = Figure(figsize=(11.0, 7.4), layout="constrained")
    (left, right), (low_left, low_right) = figure.subplots(2, 2)
    kilohertz = figures["frequency"] / 1e3

    left.loglog(kilohertz, 1e6 * figures["psd_measured"], "o", color=black, markersize=3, label="measured")
    left.loglog(kilohertz, 1e6 * figures["psd_law"], color=blue, label="netlist")
    left.loglog(kilohertz, 1e6 * figures["psd_noise"], ":", color=red, linewidth=2.5, label="ngspice .noise")
    left.loglog(kilohertz, 1e6 * figures["psd_johnson_only"], "--", color=grey, label="netlist, Johnson noise only")
    left.set(xlabel="frequency (kHz)", ylabel="density at node 1 (µV/√Hz)", title="Spectrum of node 1")

    for name, colour, label in (
        ("psd_law", blue, "measured / netlist"),
        ("psd_johnson_only", grey, "measured / Johnson noise only"),
    ):
        ratio = figures["psd_measured"] / figures[name]
        right.errorbar(
            kilohertz, ratio, yerr=ratio * figures["psd_error"], fmt="o", color=colour, markersize=3, elinewidth=0.7,
            label=label,
        )  # fmt: skip
    right.axhline(1.0, color=black, linewidth=0.7)
    right.set(
        xscale="log",
        xlabel="frequency (kHz)",
        ylabel="ratio of densities",
        title="Measured over predicted: no constant factor",
    )

    edges = np.array(figures["bands"]) / 1e3
    centres = np.sqrt(edges.prod(axis=1))
    widths = np.abs(edges - centres[:, None]).T
    low_left.errorbar(
        centres, figures["rho_measured"], xerr=widths, yerr=figures["rho_error"], fmt="o", color=black, markersize=4,
        elinewidth=0.8, label="measured",
    )  # fmt: skip
    low_left.plot(centres, figures["rho_law"], "s", color=blue, markersize=7, fillstyle="none", label="netlist")
    low_left.plot(centres, figures["rho_noise"], "x", color=red, markersize=5, label="ngspice .noise")
    low_left.set(
        xscale="log",
        xlabel="band (kHz)",
        ylabel="correlation of the nodes",
        title="Correlation by band",
        ylim=(0, None),
    )

    milliseconds = 1e3 * figures["windows"]
    low_right.errorbar(
        milliseconds, 100 * figures["eps_measured"], yerr=100 * figures["eps_error"], fmt="o", color=black, markersize=4,
        label="measured",
    )  # fmt: skip
    low_right.plot(milliseconds, 100 * figures["eps_law"], color=blue, label="netlist")
    low_right.plot(milliseconds, 100 * figures["eps_simple"], "--", color=grey, label="√(2τ/T), τ = 92 µs")
    shown = np.isfinite(figures["eps_transient"])
    low_right.errorbar(
        1.06 * milliseconds[shown], 100 * figures["eps_transient"][shown], yerr=100 * figures["eps_transient_error"][shown],
        fmt="D", color=red, markersize=4, fillstyle="none", elinewidth=0.8, label="ngspice transient",
    )  # fmt: skip
    low_right.set(
        xscale="log", yscale="log", xlabel="window T (ms)", ylabel="scatter of node 1's variance (%)",
        title="Precision against time",
    )  # fmt: skip

    for ax in (left, right, low_left, low_right):
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.legend(frameon=False, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
        ax.title.set_fontsize(10)
    for ax, ticks in ((left, (0.5, 1, 2, 5, 10)), (low_right, (2, 5, 10, 20))):
        ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.yaxis.set_minor_formatter(lambda value, _: "")
    low_right.set_xticks(milliseconds, [f"{value:g}" for value in milliseconds])
    low_right.xaxis.set_minor_formatter(lambda value, _: "")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
