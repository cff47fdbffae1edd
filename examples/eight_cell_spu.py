"""Invert an 8 x 8 matrix by thermal noise, on a circuit like the published eight-cell stochastic processing unit.

    python examples/eight_cell_spu.py --plot out/spu.png        (about 10 s on two cores)

The circuit is that of Melanson et al., Nature Communications 16:3757 (2025): eight RLC cells, joined all to all by capacitors. With
the Maxwell capacitance matrix C, a resistor R and an inductor L from each node to ground,

    C dv/dt = -v / R - i + noise,     L di/dt = v,     Cov(v) = k T C^-1

if the noise is the resistors' own at the temperature T, whatever R and L are. The compiler chooses the capacitors such that
C = u D A D, so the covariance of the eight voltages, read long enough, is the inverse of A. What this shows:

 1. the exact covariance of the netlist, decoded, is A^-1 to rounding;
 2. ngspice's thermal noise gives A^-1 with an error that falls as 1 / sqrt(time). Its expected size follows from the circuit's own
    correlation times, and both are printed side by side;
 3. Johnson noise is microvolts. The published board injects strong white noise instead, of two-sided current density S into each
    cell: the same covariance at the effective temperature S R / 2k;
 4. `CovarianceDevice` is all of it behind converters, with an error bar from its own samples (docs/sampling.md).

The paper's component values were not at hand. Those used here are representative of discrete parts, not the board's: 1 nF for
the largest capacitor, 1 mH, 1 kOhm, so resonances of 66 to 146 kHz with a Q of 0.9 to 2.4. They set the time scale and no result.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thermograd import AnalogProgram, Technology, compile_matrix
from thermograd.circuits import StateSpace, Transient, johnson_currents, run, run_many, state_space
from thermograd.devicemodel import CovarianceDevice, Dense, SamplingLaw

CELLS = 8
BOLTZMANN = 1.380649e-23  # J/K
RESISTOR = 1e3  # ohm
TECHNOLOGY = Technology(
    name="eight cells",
    source="representative discrete parts; not the published board's",
    resistors={"unit": RESISTOR},
    capacitors={"unit": 1e-9},
    inductors={"unit": 1e-3},
)
PHASE = 0.1
"""Step times the fastest resonance, in radians. The trapezoidal rule then misplaces 0.1 % of the voltages' covariance."""
INJECTED = 1e-13
"""Two-sided density of the injected current noise, A^2/Hz: 0.1 V at the cells."""


def random_matrix(seed: int) -> np.ndarray:
    """(8, 8) all-to-all coupled M-matrix: couplings <= 0, which is what capacitors can do, and positive row sums."""
    generator = np.random.default_rng(seed)
    couplings = np.triu(generator.uniform(0.05, 1.0, (CELLS, CELLS)), 1)
    couplings += couplings.T
    return np.diag(couplings.sum(axis=1) + generator.uniform(0.5, 1.5, CELLS)) - couplings


def moments(voltages: np.ndarray, burn_in: int, checkpoints: np.ndarray) -> np.ndarray:
    """(checkpoints, n, n) mean of v v^T over the first so many samples after the burn-in; the mean voltage is known to be zero."""
    settled, sums, start = voltages[burn_in:], [], 0
    total = np.zeros((voltages.shape[1], voltages.shape[1]))
    for end in checkpoints:
        total = total + settled[start:end].T @ settled[start:end]
        sums.append(total / end)
        start = int(end)
    return np.array(sums)


def relative(estimate: np.ndarray, exact: np.ndarray) -> float:
    """Relative Frobenius distance."""
    return float(np.linalg.norm(estimate - exact) / np.linalg.norm(exact))


def main(argv: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="of the matrix and of the noise (default 1)")
    parser.add_argument("--runs", type=int, default=16, help="independent noise runs to average (default 16)")
    parser.add_argument("--steps", type=int, default=60_000, help="steps of each run (default 60000, at least 2000)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture (.png, .svg, .pdf)")
    arguments = parser.parse_args(argv)
    if arguments.runs < 1 or arguments.steps < 2_000:
        parser.error("--runs needs at least 1 and --steps at least 2000: shorter runs end before the burn-in does")

    # Compile, and look at the circuit's exact law.
    matrix = random_matrix(arguments.seed)
    inverse = np.linalg.inv(matrix)
    program = compile_matrix(matrix, fabric="spu", technology=TECHNOLOGY)
    netlist = program.netlist()
    space = state_space(netlist, {node: (node, "0") for node in program.nodes})
    exact = program.decode_covariance(space.covariance())
    law = SamplingLaw(program)

    # Noise in ngspice. Step and burn-in come from the circuit's natural frequencies.
    step = PHASE / float(np.abs(space.eigenvalues).max())
    slowest = -1.0 / float(space.eigenvalues[0].real)
    burn_in = math.ceil(10 * slowest / step)
    currents = johnson_currents(netlist, step)
    analysis = Transient(arguments.steps * step, step=step, nodes=program.nodes, noise=True)
    if arguments.steps <= 2 * burn_in:
        parser.error(f"--steps {arguments.steps}: more than {2 * burn_in} are needed, twice the burn-in of this matrix")
    samples = arguments.steps - burn_in
    checkpoints = np.unique(np.geomspace(max(samples // 256, 100), samples, 9).round().astype(int))
    streams = np.random.SeedSequence(arguments.seed).spawn(arguments.runs + 1)

    single = np.zeros((arguments.runs, len(checkpoints), CELLS, CELLS))
    waves: np.ndarray | None = None
    for index, result in run_many((netlist, analysis, stream) for stream in streams[:-1]):
        if isinstance(result, Exception):
            raise result
        voltages = np.column_stack([result.voltages[node] for node in program.nodes])
        single[index] = moments(voltages, burn_in, checkpoints)
        if index == 0:
            waves = voltages[burn_in : burn_in + 400]
    decode = program.decode_covariance
    single_errors = np.array([[relative(decode(part), inverse) for part in one] for one in single])
    pooled_errors = np.array([relative(decode(part), inverse) for part in single.mean(axis=0)])
    estimate = decode(single[:, -1].mean(axis=0))

    times = checkpoints * step
    unit_error = float(np.linalg.norm(law.error_of_inverse(1.0)) / np.linalg.norm(inverse))
    single_expected = unit_error / np.sqrt(times / program.tau)
    pooled_expected = single_expected / math.sqrt(arguments.runs)
    standard_error = law.error_of_inverse(arguments.runs * times[-1] / program.tau)
    deviations = (estimate - inverse) / standard_error

    # The published variant: noise generators in place of the resistors' own noise.
    hot = INJECTED * RESISTOR / (2 * BOLTZMANN)
    # Equal resistors make equal white noise in every cell, as the generators do; so it is the same noise, only louder. Taking
    # it from johnson_currents also takes its correction for the finite step: independent samples of sqrt(S / h) held
    # for a step h would act as a capacitor of h / 2R more at each node (5 % here).
    louder = dataclasses.replace(currents, factor=currents.factor * math.sqrt(hot / netlist.temperature))
    result = run(netlist, analysis, seed=streams[-1], currents=louder)
    voltages = np.column_stack([result.voltages[node] for node in program.nodes])
    injected_covariance = moments(voltages, burn_in, checkpoints[-1:])[0]
    injected = program.decode_covariance(injected_covariance, temperature=hot)

    # The whole device, by the exact law: converters of 8 bits, noise set by trying, error bars from its own samples.
    device = CovarianceDevice(TECHNOLOGY.replace(adc__bits=8, adc__noise=5e-4), seed=arguments.seed)
    read = device.inverse(Dense(torch.from_numpy(matrix)), times[-1] / program.tau)

    figures: dict[str, Any] = {
        "condition": float(np.linalg.cond(matrix)),
        "exact_error": relative(exact, inverse),
        "bias": currents.bias,
        "step": step,
        "times": times,
        "single_errors": single_errors,
        "single_expected": single_expected,
        "pooled_errors": pooled_errors,
        "pooled_expected": pooled_expected,
        "estimate": estimate,
        "inverse": inverse,
        "standard_error": standard_error,
        "deviations": deviations,
        "device_error": relative(read.matrix.numpy(), inverse),
        "device_bar": float(np.linalg.norm(read.standard_error.numpy()) / np.linalg.norm(inverse)),
        "device_seconds": read.seconds,
        "injected_error": relative(injected, inverse),
        "injected_expected": float(single_expected[-1]),
        "injected_rms": float(np.sqrt(np.diag(injected_covariance).mean())),
        "johnson_rms": float(np.sqrt(np.diag(space.covariance()).mean())),
        "effective_temperature": hot,
    }
    show(program, space, arguments.runs, figures)
    if arguments.plot is not None:
        assert waves is not None
        draw(arguments.plot, waves, step, arguments.runs, figures)
        print(f"\nwrote {arguments.plot}")
    return figures


def show(program: AnalogProgram, space: StateSpace, runs: int, figures: dict[str, Any]) -> None:
    """The tables."""
    resonances = np.abs(space.eigenvalues.imag) / (2 * np.pi)
    resonances = resonances[resonances > 0]
    counts = ", ".join(f"{count} {kind}s" for kind, count in program.report.parts.items())
    print(f"8 x 8 M-matrix, condition number {figures['condition']:.3g}, as {counts}")
    if len(resonances):
        print(f"resonances {resonances.min() / 1e3:.0f} to {resonances.max() / 1e3:.0f} kHz, slowest decay ", end="")
    print(f"{-1e6 / space.eigenvalues[0].real:.3g} us, step {figures['step'] * 1e9:.3g} ns")
    print(f"\nexact covariance of the netlist, decoded: A^-1 to {figures['exact_error']:.1e} (relative, Frobenius)")
    print(
        f"\nJohnson noise in ngspice, {figures['johnson_rms'] * 1e6:.2f} uV rms a cell: relative error of A^-1\n"
        f"(bias of the step: {100 * figures['bias']:.2g} % over all states, a tenth of that in the voltages)\n"
    )
    print(f"{'time per run':>14}  {'one run (rms)':>14} {'expected':>9}   {f'mean of {runs} runs':>16} {'expected':>9}")
    rms = np.sqrt((figures["single_errors"] ** 2).mean(axis=0))
    rows = zip(
        figures["times"], rms, figures["single_expected"], figures["pooled_errors"], figures["pooled_expected"],
        strict=True,
    )  # fmt: skip
    for time, one, one_expected, pooled, pooled_expected in rows:
        print(
            f"{time * 1e3:11.3f} ms  {100 * one:12.2f} % {100 * one_expected:7.2f} %   "
            f"{100 * pooled:14.2f} % {100 * pooled_expected:7.2f} %"
        )
    upper = np.abs(figures["deviations"][np.triu_indices(CELLS)])
    print(
        f"\n36 entries of the last estimate, in standard errors of sampling: rms {np.sqrt((upper**2).mean()):.2f}, "
        f"largest {upper.max():.2f}"
    )
    print(
        f"\ninjected noise, S = {INJECTED:g} A^2/Hz: {figures['injected_rms'] * 1e3:.0f} mV rms a cell, effective temperature "
        f"S R / 2k = {figures['effective_temperature']:.2e} K\n"
        f"one run of {figures['times'][-1] * 1e3:.3g} ms: relative error of A^-1 {100 * figures['injected_error']:.2f} %, "
        f"expected {100 * figures['injected_expected']:.2f} %"
    )
    print(
        f"\nCovarianceDevice, 8-bit converters, one run of {figures['device_seconds'] * 1e3:.3g} ms: relative error of A^-1 "
        f"{100 * figures['device_error']:.2f} %, its error bar {100 * figures['device_bar']:.2f} %"
    )


def draw(path: Path, waves: np.ndarray, step: float, runs: int, figures: dict[str, Any]) -> None:
    """Voltages of two cells, error against time, and entries of the estimate against A^-1."""
    from matplotlib.figure import Figure

    blue, red, grey = "#0072B2", "#D55E00", "#999999"
    figure = Figure(figsize=(12.5, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)

    time = np.arange(len(waves)) * step * 1e6
    offset = 5 * float(waves[:, :2].std())  # one cell above the other, so that both can be followed
    for cell, colour in ((0, blue), (1, red)):
        left.plot(time, 1e6 * (waves[:, cell] + (1 - cell) * offset), color=colour, linewidth=1.0)
    left.set(xlabel="time (µs)", ylabel="node voltage (µV), shifted", xlim=(0, time[-1]))
    left.set_title("Thermal noise of cell 1 (upper) and cell 2")

    milliseconds = figures["times"] * 1e3
    middle.loglog(milliseconds, 100 * figures["single_errors"].T, color=grey, linewidth=0.5, alpha=0.6)
    middle.loglog([], [], color=grey, linewidth=0.8, label="single runs")
    middle.loglog(milliseconds, 100 * figures["single_expected"], color=grey, linestyle="--", label="expected of one")
    middle.loglog(milliseconds, 100 * figures["pooled_errors"], "o-", color=blue, markersize=4, label=f"mean of {runs}")
    middle.loglog(milliseconds, 100 * figures["pooled_expected"], color=blue, linestyle="--", label="expected of it")
    middle.set(xlabel="time per run (ms)", ylabel="relative error of A⁻¹ (%)", title="Error falls as 1 / √time")
    middle.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    middle.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    middle.legend(frameon=False, fontsize=8)

    # The entries span more than their errors, so the distance from the exact inverse is shown.
    pairs = np.triu_indices(CELLS)
    exact, estimate, error = (figures[name][pairs] for name in ("inverse", "estimate", "standard_error"))
    diagonal = pairs[0] == pairs[1]
    for group, colour, label in ((diagonal, red, "diagonal"), (~diagonal, blue, "off the diagonal")):
        right.errorbar(
            exact[group], (estimate - exact)[group], yerr=error[group], fmt="o", color=colour, markersize=3.5,
            elinewidth=0.8, label=label,
        )  # fmt: skip
    right.axhline(0.0, color="black", linewidth=0.7)
    right.set(
        xlabel="entry of A⁻¹", ylabel="estimate - exact, ± 1 standard error", title="The 36 entries of the inverse"
    )
    right.legend(frameon=False, fontsize=8, loc="upper center")

    for ax in (left, middle, right):
        ax.spines[["top", "right"]].set_visible(False)
        ax.title.set_fontsize(10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
