"""Accuracy of a calibrated surrogate: compared with ngspice on held-out dies and systems.

    python benchmarks/devicemodel/held_out.py --plot docs/held_out.png        (about a minute on two cores)

For three technologies, from precise to poor, a card is calibrated (dies 1 to 3, up to 16 unknowns, seed 0) and then compared, die by die:

    solutions   the error vector x - A^-1 b at rest, 8, 16 and 32 unknowns, condition number 5 to 100, 24 systems on eight dies: explained
                fraction of its variance
    settling    the curve of every unknown after a step of the drive: largest distance from ngspice's, as a share of the largest step
    noise       standard deviation of every cell in long seeded transients, surrogate over ngspice, four runs of each of three dies;
                white noise of resistors and amplifiers (1/f: docs/noise.md)
    dies        the distribution of the solution's error over 600 dies in ngspice against 4,000 others of the surrogate: of its norm, and of
                its distance sqrt((e - m)^T S^-1 (e - m)) by the surrogate's own mean and covariance, in which every direction counts alike
                (two-sample Kolmogorov-Smirnov tests); and the same for a card whose mismatch is 20 % too large

Intervals are of 95 %: of solutions, systems and dies drawn anew (`devicemodel/calibration/resampling.py`); of the noise, Student's of the
scatter of its twelve runs.
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

from thermograd.circuits.netlist.analyses import OperatingPoint, Transient
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.ngspice.run_many import run_many
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.calibration.resampling import interval
from thermograd.devicemodel.calibration.simulated import calibrate
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.cell_law import cell_law, propagate
from thermograd.devicemodel.devices.circuit_noise import SimulatedCircuit
from thermograd.devicemodel.devices.spice import transient
from thermograd.devicemodel.estimate import Estimate

INTEGRATED = preset("integrated")
TECHNOLOGIES = (
    preset("breadboard"),
    INTEGRATED,
    INTEGRATED.replace(
        name="poor", resistors__tolerance=0.03, resistors__bits=6, opamp__gain=300.0, opamp__offset=2e-3
    ),
)
SIZES = (8, 16, 32)
SYSTEMS = 24
NEW_DIES = [501 + k % 8 for k in range(SYSTEMS)]
NOISE_RUNS, SLOW_TIMES = 4, 100
CURVE_POINTS = 200
MANY_DIES, OTHER_DIES = 600, 4000


@dataclass(frozen=True)
class Question:
    """One system on one die: nominal program, its die's program, drive currents, and the exact voltages (n,)."""

    nominal: AnalogProgram
    program: AnalogProgram
    currents: np.ndarray
    exact: np.ndarray
    die: int


def ask(card: DeviceCard, n: int, die: int, rng: np.random.Generator, condition: float) -> Question:
    """A random system at half of the output limit."""
    matrix, b = random_system(n, condition, False, rng), rng.standard_normal(n)
    solution = np.linalg.solve(matrix, b)
    nominal = lay_out(matrix, card.fabric, card.technology).at_scale(
        0.5 * card.technology.opamp.output_limit / np.abs(solution).max()
    )
    exact = solution * nominal.volts_per_unit
    return Question(nominal, nominal.on(Die(card.technology, die)), nominal.currents(b), exact, die)


def predicted(question: Question, card: DeviceCard) -> AnalogProgram:
    """The question's program with the card's parameters on this die."""
    return card.on(question.nominal, Die(card.technology, question.die))


def at_rest(program: AnalogProgram, currents: np.ndarray, card: DeviceCard) -> np.ndarray:
    """Settled voltages of the surrogate."""
    drift, drive, *_ = cell_law(program, currents, card)
    return np.linalg.solve(-drift, drive)


def solutions(card: DeviceCard) -> dict[int, dict[str, Any]]:
    """Error vectors at rest, relative to |A^-1 b|, by number of unknowns."""
    found = {}
    for n in SIZES:
        rng = np.random.default_rng([n, 77])
        questions = [ask(card, n, die, rng, float(rng.uniform(5, 100))) for die in NEW_DIES]
        jobs = [(q.program.circuit(q.currents, np.zeros(n)), OperatingPoint(q.program.nodes), None) for q in questions]
        volts = {k: q.voltages for k, q in run_many(jobs)}  # type: ignore[union-attr]
        size = [float(np.linalg.norm(q.exact)) for q in questions]
        spice = np.array([(q.program.cell_volts(volts[k]) - q.exact) / size[k] for k, q in enumerate(questions)])
        surrogate = np.array(
            [(at_rest(predicted(q, card), q.currents, card) - q.exact) / size[k] for k, q in enumerate(questions)]
        )
        left, varied = np.sum((spice - surrogate) ** 2, axis=1), np.sum((spice - spice.mean()) ** 2, axis=1)
        squares = np.sum(spice**2, axis=1)
        found[n] = {
            "spice": spice,
            "surrogate": surrogate,
            "unexplained": float(left.sum() / varied.sum()),
            "unexplained_within": _within(left, varied),
            "size": float(np.sqrt(squares.mean())),
            "size_within": np.sqrt(_within(squares, np.ones_like(squares))),
        }
    return found


def _within(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """95 % interval of the ratio of two sums over systems, each on its die."""
    found = interval(lambda weights: (weights @ above) / (weights @ below), range(SYSTEMS), NEW_DIES)
    assert found is not None
    return found


def settling(card: DeviceCard) -> dict[str, Any]:
    """Curves of eight unknowns on one new die from zero, ngspice and surrogate, and their largest distance over the largest step."""
    question = ask(card, 8, 601, np.random.default_rng(78), 20.0)
    program = question.program
    duration = 6.0 * program.settling_time / program.tau
    netlist = program.circuit(question.currents, np.zeros(8))
    analysis = Transient(duration * program.tau, nodes=program.nodes, samples=CURVE_POINTS + 1, tolerance=1e-7)
    curves = program.cell_volts(run(netlist, analysis).voltages)
    times = np.linspace(0.0, duration, CURVE_POINTS + 1)
    fitted = predicted(question, card)
    modelled = np.stack(
        [propagate(fitted, question.currents, np.zeros(8), t, card, noisy=False)[0] for t in times], axis=1
    )
    largest = float(np.abs(curves[:, -1]).max())
    return {
        "times": times,
        "spice": curves,
        "surrogate": modelled,
        "off": float(np.abs(curves - modelled).max() / largest),
    }


def noise(card: DeviceCard) -> dict[str, Any]:
    """Ratio of standard deviations, surrogate over ngspice, and its standard error over runs, over the cells of three new dies."""
    variance, expected = [], []
    zero = np.zeros(8)
    corners = {"opamp__noise_voltage_corner": 0.0, "opamp__noise_current_corner": 0.0}
    card = card.model_copy(update={"technology": card.technology.replace(**corners)})
    for run_number in range(3 * NOISE_RUNS):
        die = 701 + run_number // NOISE_RUNS
        question = ask(card, 8, die, np.random.default_rng(die), 5.0)
        duration = SLOW_TIMES * question.program.settling_time / question.program.tau
        circuit = SimulatedCircuit(question.program, bandwidth=card.technology.adc.bandwidth)
        analysis = dataclasses.replace(transient(question.program, duration, johnson_noise=True), nodes=circuit.nodes)
        netlist, noise = circuit.netlist(zero, zero, noisy=True), circuit.noise(float(analysis.step or 0.0))
        found = run(netlist, analysis, seed=1000 * die + run_number, currents=noise, timeout=600.0)
        # About the state of rest: its own mean would take slow noise with it.
        rest = circuit.read(run(netlist, OperatingPoint(circuit.nodes)).voltages)
        volts = (circuit.read(found.voltages) - rest[:, None])[:, -int(len(found.time) * 0.9) :]
        _, covariance = propagate(predicted(question, card), zero, zero, np.inf, card, noisy=True)
        assert covariance is not None
        variance.append(np.mean(volts**2, axis=1))
        expected.append(np.diag(covariance.numpy()))
    powers = np.mean(np.array(variance) / np.array(expected), axis=1)
    error = float(powers.std(ddof=1) / np.sqrt(len(powers)))
    power = Estimate(value=float(powers.mean()), std=error, degrees_of_freedom=len(powers) - 1.0)
    low, high = power.interval()
    return {"ratio": power.value**-0.5, "within": (high**-0.5, low**-0.5), "spice": variance, "surrogate": expected}


def distribution(card: DeviceCard, first: int) -> dict[str, Any]:
    """Errors of one system over many dies from seed `first` on, and what the tests say."""
    base = ask(card, 8, 0, np.random.default_rng(79), 20.0)
    size = float(np.linalg.norm(base.exact))
    programs = [base.nominal.on(Die(card.technology, first + k)) for k in range(MANY_DIES)]
    jobs = [(p.circuit(base.currents, np.zeros(8)), OperatingPoint(p.nodes), None) for p in programs]
    spice = np.zeros((MANY_DIES, 8))
    for k, found in run_many(jobs):
        spice[k] = (programs[k].cell_volts(found.voltages) - base.exact) / size  # type: ignore[union-attr]

    def errors_with(used: DeviceCard) -> np.ndarray:
        questions = (
            Question(base.nominal, base.program, base.currents, base.exact, die)
            for die in range(10_000, 10_000 + OTHER_DIES)
        )
        return np.array([(at_rest(predicted(q, used), q.currents, used) - q.exact) / size for q in questions])

    right, wrong = errors_with(card), errors_with(card.replace(mismatch=1.2 * card.mismatch.value))
    return {
        "spice": np.linalg.norm(spice, axis=1),
        "surrogate": np.linalg.norm(right, axis=1),
        "p": [float(ks_2samp(*pair).pvalue) for pair in views(spice, right)],
        "p_wrong": [float(ks_2samp(*pair).pvalue) for pair in views(spice, wrong)],
    }


def views(spice: np.ndarray, surrogate: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The two errors by norm, and by distance under the surrogate's mean and covariance."""
    mean, factor = surrogate.mean(axis=0), np.linalg.cholesky(np.cov(surrogate.T))

    def distance(errors: np.ndarray) -> np.ndarray:
        return np.linalg.norm(np.linalg.solve(factor, (errors - mean).T), axis=0)

    norms = np.linalg.norm(spice, axis=1), np.linalg.norm(surrogate, axis=1)
    return norms, (distance(spice), distance(surrogate))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    print(
        "| technology | n | error of ngspice's solutions (rms) (95 %) | share of its variance left unexplained (95 %) |\n|---|---|---|---|"
    )
    for place, technology in enumerate(TECHNOLOGIES):
        card = calibrate(technology)
        found: dict[str, Any] = {"solutions": solutions(card)}
        for n, figures in found["solutions"].items():
            print(
                f"| {technology.name} | {n} | {100 * figures['size']:.3g} % ({_span(100 * figures['size_within'], '.3g')}) "
                f"| {figures['unexplained']:.1e} ({_span(figures['unexplained_within'], '.0e')}) |",
                flush=True,
            )
        found |= {
            "settling": settling(card),
            "noise": noise(card),
            "dies": distribution(card, 20_000 + 1000 * place),
        }
        results[technology.name] = found
    print(
        "\n| technology | settling curves off by | noise, surrogate / ngspice (95 %) | 600 dies: p of norm, distance "
        "| with 20 % more mismatch |\n"
        "|---|---|---|---|---|"
    )
    for name, found in results.items():
        (norm, distance), wrong = found["dies"]["p"], found["dies"]["p_wrong"]
        print(
            f"| {name} | {100 * found['settling']['off']:.2f} % of the step | {found['noise']['ratio']:.3f} "
            f"({_span(found['noise']['within'], '.3f')}) | {norm:.2f}, {distance:.2f} | {wrong[0]:.1e}, {wrong[1]:.1e} |"
        )
    if options.plot:
        _plot(options.plot, results)
        print(f"\nwrote {options.plot}")


def _span(ends: Any, digits: str) -> str:
    low, high = ends
    return f"{low:{digits}} to {high:{digits}}"


def _plot(path: Path, results: dict[str, dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.4, 8.4), layout="constrained")
    axes = figure.subplots(3, 3)
    for row, (name, found) in zip(axes, results.items(), strict=True):
        left, middle, right = row
        for n, marker in zip(SIZES, "o^s", strict=True):
            part = found["solutions"][n]
            left.plot(
                100 * part["spice"].ravel(), 100 * part["surrogate"].ravel(), marker, markersize=2.5, label=f"n = {n}"
            )
        ends = np.array(left.get_xlim())
        left.plot(ends, ends, color="grey", linewidth=0.7, zorder=0)
        left.set(xlabel="ngspice: error of x (%)", ylabel=f"{name}\n\nsurrogate: error of x (%)")
        left.legend(frameon=False, fontsize=8, handletextpad=0.1)
        times, curves, modelled = (found["settling"][key] for key in ("times", "spice", "surrogate"))
        for k, (curve, law_curve) in enumerate(zip(curves, modelled, strict=True)):
            middle.plot(times, curve, color=f"C{k}", linewidth=2.5, alpha=0.35)
            middle.plot(times, law_curve, color=f"C{k}", linewidth=0.8)
        middle.set(xlabel="time (τ)", ylabel="cell (V)", xlim=(0, times[-1]))
        errors = found["dies"]
        bins = np.linspace(0.0, 100 * np.quantile(errors["surrogate"], 0.995), 30)
        right.hist(100 * errors["spice"], bins, density=True, alpha=0.4, label="ngspice, 600 dies")
        right.hist(
            100 * errors["surrogate"],
            bins,
            density=True,
            histtype="step",
            color="black",
            label="surrogate, 4,000 others",
        )
        right.set(xlabel="|x - A⁻¹b| / |A⁻¹b| (%)", yticks=[])
        right.set_ylim(0, 1.25 * right.get_ylim()[1])
        right.legend(frameon=False, fontsize=8, loc="upper right")
        for ax in row:
            ax.spines[["top", "right"]].set_visible(False)
    for ax, title in zip(
        axes[0],
        ("solutions at rest", "settling, ngspice broad", "one system over dies"),
        strict=True,
    ):
        ax.set_title(title, loc="left", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
