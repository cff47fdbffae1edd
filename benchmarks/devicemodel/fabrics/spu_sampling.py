"""Solving by sampling: error against time, the law's prefactor, and where it beats settling.

    OMP_NUM_THREADS=1 python benchmarks/devicemodel/fabrics/spu_sampling.py [--part error settling ...] [--plot docs/sampling.png]

Matrices: graph Laplacians with random weights plus lambda I, largest eigenvalue 1, so M-matrices of a chosen condition number. Technology
`integrated` (10 kOhm and 10 pF, 8-bit converters with their noise and offsets, noise injected), nominal parts unless a die is named.

error     `CovarianceDevice`, relative error |S' b - S b| / |S b| of many seeded runs against `SamplingLaw`: slope over time, measured over
          predicted, and share of entries within 1.96 of their own error bars. Controls: samples taken for independent ones; the formula
          with one tau for all modes, sqrt((1 + tr S b^T S b / |S b|^2) tau / T), at tau = R C_max.
swing     the same at one time with other inductors: over- and underdamped.
ngspice   the error in ngspice, in units of the law's, over several matrices; control: 10 % of the inverse added.
settling  time and energy for one right-hand side and for the whole inverse by sampling, and by settling, one right-hand side after another,
          on first-order cells (`crossbar`) and on coupled oscillators, ideal amplifiers: (1 + log(1 / accuracy)) of a settling to that
          accuracy, at infinitely fast converters. Digital: multiply-adds of a Cholesky solution and inverse.
refined   a sampled reading, refined by digital residuals each of which is sampled anew: contraction against `SamplingLaw.contraction`.
kfac      the factors of digits' K-FAC curvature: signs, the damping that positive capacitors of two rails would need, and what one run
          makes of the one that an `spu` holds.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq

from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, lay_out
from thermograd.compiler.h_matrix import lambda_star
from thermograd.devicemodel import CovarianceDevice, Refined, SamplingLaw, Solution, SpiceCovarianceDevice
from thermograd.devicemodel.cost.compiled import compiled_array
from thermograd.devicemodel.cost.digital_host import DigitalHost
from thermograd.devicemodel.cost.model import step_cost
from thermograd.devicemodel.sampling.sampling_cost import sampling_cost
from thermograd.devicemodel.systems import Dense

INTEGRATED = preset("integrated")
IDEAL_AMPLIFIERS = INTEGRATED.replace(opamp=preset("ideal").opamp.model_copy(update={"output_limit": 1.0}))
PARTS = ("error", "swing", "ngspice", "settling", "refined", "kfac")
CELLS = (8, 16)
CONDITIONS = (3.0, 30.0, 300.0)


def m_matrix(n: int, condition: float, seed: int) -> np.ndarray:
    """(n, n), largest eigenvalue 1."""
    rng = np.random.default_rng([seed, n])
    weights = np.triu(rng.uniform(0.0, 1.0, (n, n)), 1)
    weights += weights.T
    laplacian = np.diag(weights.sum(axis=1)) - weights
    laplacian /= np.linalg.eigvalsh(laplacian)[-1]
    found = laplacian + np.eye(n) / (condition - 1.0)
    return np.asarray(found / np.linalg.eigvalsh(found)[-1])


def drive(n: int, seed: int) -> np.ndarray:
    """b, a unit vector."""
    b = np.random.default_rng([seed, n, 1]).standard_normal(n)
    return np.asarray(b / np.linalg.norm(b))


def rms_of(values: np.ndarray) -> tuple[float, float]:
    """Root mean square of independent values, and its standard error."""
    squares = np.asarray(values) ** 2
    rms = math.sqrt(squares.mean())
    return rms, float(squares.std(ddof=1) / math.sqrt(len(squares)) / (2 * rms))


def slope_of(times: np.ndarray, values: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Least squares of log value on log time, and its standard error from those of the values."""
    x = np.log(times) - np.log(times).mean()
    weights = x / (x**2).sum()
    return float(weights @ np.log(values)), float(np.linalg.norm(weights * errors / values))


def single_tau(a: np.ndarray, b: np.ndarray, program: Any, duration: float) -> float:
    """The formula with one tau, that of the slowest mode."""
    s = np.linalg.inv(a)
    solution = s @ b
    tau = SamplingLaw(program).correlation_times().max()
    return math.sqrt((1 + np.trace(s) * (b @ solution) / (solution @ solution)) * tau / duration)


def table_head(*columns: str) -> None:
    """Of a Markdown table."""
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")


def error_part(runs: int) -> list[dict[str, Any]]:
    """Error against time."""
    print("\nerror against time, law device, technology integrated, runs of each kind:", runs)
    table_head(
        "n",
        "condition",
        "interval, tau",
        "slope (s.e.)",
        "measured / law (s.e.)",
        "within 1.96 bars",
        "independent / law",
        "one tau / law",
    )
    found = []
    for n in CELLS:
        for condition in CONDITIONS:
            a, b = m_matrix(n, condition, 1), drive(n, 1)
            x, program = np.linalg.solve(a, b), lay_out(a, "spu", INTEGRATED)
            device = CovarianceDevice(INTEGRATED, seed=n)
            system, rhs = Dense(torch.from_numpy(a)), torch.from_numpy(b)
            times, measured, uncertain, ratios, inside = [], [], [], [], []
            least = 1.05 * shortest(device, system, rhs)
            for asked in least * 4.0 ** np.arange(3):
                solutions = [device.solve(system, rhs, asked) for _ in range(runs)]
                # Rounded up to whole blocks of samples.
                duration = device.spacing * device.work.multiply_adds / (2 * n)
                off = np.array([one.x.numpy() - x for one in solutions])
                bars = np.array([bar_of(one) for one in solutions])
                rms, error = rms_of(np.linalg.norm(off, axis=1) / np.linalg.norm(x))
                law = SamplingLaw(program, device.spacing)
                times.append(duration)
                measured.append(rms)
                uncertain.append(error)
                ratios.append(rms / law.relative_error(b, duration))
                inside.append(float((np.abs(off) < 1.96 * bars).mean()))
            slope, slope_error = slope_of(np.array(times), np.array(measured), np.array(uncertain))
            ratio = float(np.mean(ratios))
            ratio_error = float(np.linalg.norm(np.array(uncertain) / np.array(measured) * np.array(ratios))) / len(
                ratios
            )
            far = SamplingLaw(program, 200.0 * max(1.0, device.spacing))
            independent = far.relative_error(b, times[0] / device.spacing * far.interval) / law.relative_error(
                b, times[0]
            )
            one = single_tau(a, b, program, times[0]) / law.relative_error(b, times[0])
            print(
                f"| {n} | {condition:g} | {device.spacing:.2f} | {slope:.3f} ({slope_error:.3f}) | {ratio:.3f} ({ratio_error:.3f}) | "
                f"{100 * np.mean(inside):.1f} % | {independent:.2f} | {one:.2f} |",
                flush=True,
            )
            found.append({"n": n, "condition": condition, "times": times, "measured": measured, "errors": uncertain,
                          "law": [law.relative_error(b, t) for t in times]})  # fmt: skip
    return found


def bar_of(solution: Solution) -> np.ndarray:
    """Its standard errors."""
    assert solution.standard_error is not None
    return solution.standard_error.numpy()


def shortest(device: CovarianceDevice, system: Dense, b: torch.Tensor) -> float:
    """tau that the device asks for at least."""
    from thermograd.circuits.errors import InputError

    try:
        device.solve(system, b, 1e-3)
    except InputError as error:
        return float(str(error).split("give ")[1].split(" tau")[0])
    raise AssertionError("a run of 1e-3 tau passed")


def swing_part(runs: int) -> None:
    """Error at one time against the inductors."""
    print("\nerror at 8 cells, condition 30, against the inductor: fine samples (0.1 tau), all of 4,000 tau")
    table_head(
        "L R^-2 / (unit C)",
        "q",
        "relative error, law",
        "measured / law (s.e.)",
        "largest / smallest tau_kl",
    )
    a, b = m_matrix(8, 30.0, 1), drive(8, 1)
    x = np.linalg.solve(a, b)
    for henry in (1e-2, 1e-3, 1e-4, 1e-5):
        technology = INTEGRATED.replace(inductors__unit=henry)
        program = lay_out(a, "spu", technology)
        law = SamplingLaw(program, 0.1)
        device = CovarianceDevice(technology, interval=0.1, seed=2)
        solutions = [device.solve(Dense(torch.from_numpy(a)), torch.from_numpy(b), 4000.0) for _ in range(runs)]
        off = np.array([np.linalg.norm(one.x.numpy() - x) / np.linalg.norm(x) for one in solutions])
        rms, error = rms_of(off)
        expected = law.relative_error(b, 4000.0)
        times = law.correlation_times()
        print(
            f"| {henry / 1e8 / 1e-11:.3g} | {law.swing:.3g} | {expected:.4f} | {rms / expected:.3f} ({error / expected:.3f}) | "
            f"{times.max():.3g} / {times.min():.3g} |",
            flush=True,
        )


def ngspice_part(matrices: int) -> None:
    """Errors in ngspice over those of the law."""
    print("\nngspice: entries of A^-1 - estimate, over the law's standard errors; 8 cells, condition 5, 800 tau")
    scores, wrong, solutions = [], [], []
    for seed in range(matrices):
        a, b = m_matrix(8, 5.0, 10 + seed), drive(8, seed)
        device = SpiceCovarianceDevice(INTEGRATED, interval=1.0, seed=seed)
        found = device.inverse(Dense(torch.from_numpy(a)), 800.0)
        law, exact = SamplingLaw(lay_out(a, "spu", INTEGRATED), 1.0), np.linalg.inv(a)
        expected, solution = law.error_of_inverse(800.0), np.linalg.solve(a, b)
        upper = np.triu_indices(8)
        scores.append(((found.matrix.numpy() - exact) / expected)[upper])
        wrong.append(((1.1 * found.matrix.numpy() - exact) / expected)[upper])
        off = np.linalg.norm(found.matrix.numpy() @ b - solution)
        solutions.append(off / np.linalg.norm(law.error_of_solution(b, 800.0)))
    # Entries of one matrix are correlated: the scatter is that of the matrices.
    for name, entries in (("entries", scores), ("entries, 10 % added", wrong)):
        mean_square = np.array([np.mean(one**2) for one in entries])
        print(f"{name}: mean square {mean_square.mean():.3f} ({mean_square.std(ddof=1) / math.sqrt(matrices):.3f})")
    rms, error = rms_of(np.array(solutions))
    print(f"|S' b - S b| over the law's: rms {rms:.3f} ({error:.3f}) of {matrices} matrices")


def settling_part() -> list[dict[str, Any]]:
    """Time and energy by sampling and by settling."""
    host = DigitalHost()
    print("\nn = 16: time of one right-hand side, us (integrated's parts; settling with ideal amplifiers), b random")
    table_head(
        "condition",
        "accuracy",
        "sampling",
        "read continuously",
        "samples",
        "crossbar",
        "oscillator",
        "J, sampling: all, without the host",
        "J, crossbar: all, without the host",
        "whole inverse: sampling",
        "right-hand sides to break even, crossbar / oscillator",
    )
    found = []
    n = 16
    for condition in (3.0, 30.0, 300.0, 3000.0):
        a, b = m_matrix(n, condition, 1), drive(n, 1)
        program = lay_out(a, "spu", INTEGRATED)
        parts: Any = program.parts
        interval = 0.5 * float(parts.matrix().diagonal().min() / program.conductance_unit)
        law, fine = SamplingLaw(program, interval), SamplingLaw(program)
        rest = 5.0 * program.settling_time / program.tau
        slow = {name: compile_matrix(a, name, IDEAL_AMPLIFIERS).settling_time for name in ("crossbar", "oscillator")}
        row: dict[str, Any] = {"condition": condition, "accuracy": [], "sampling": [], "crossbar": [], "oscillator": []}
        array = compiled_array(compile_matrix(a, "crossbar", INTEGRATED), b)
        inverse = np.linalg.norm(law.error_of_inverse(1.0)) / np.linalg.norm(np.linalg.inv(a))
        for accuracy in (0.1, 0.03, 0.01, 0.003, 0.001):
            duration = law.duration_for(b, accuracy)
            samples = math.ceil(duration / interval)
            seconds = (duration + rest) * program.tau
            whole = ((inverse / accuracy) ** 2 + rest) * program.tau
            settled = {
                "crossbar": slow["crossbar"] * math.log(1 / accuracy),
                "oscillator": slow["oscillator"] * critical(accuracy),
            }
            continuous = (fine.duration_for(b, accuracy) + rest) * program.tau
            cost = sampling_cost(
                INTEGRATED, n, n * (n + 1) // 2, samples, interval * program.tau, rest * program.tau, 1, host
            )
            other = step_cost(array, INTEGRATED, settled["crossbar"], host=host)
            analog = cost.joules - cost.part("host").joules - cost.part("idle host").joules
            others = other.joules - other.part("idle host").joules - other.part("standby").joules
            for name, figure in (("accuracy", accuracy), ("sampling", seconds), *settled.items()):
                row[name].append(figure)
            if accuracy in (0.1, 0.01, 0.001):
                counts = [math.ceil(whole / settled[name]) for name in ("crossbar", "oscillator")]
                print(
                    f"| {condition:g} | {accuracy:g} | {1e6 * seconds:.3g} | {1e6 * continuous:.3g} | {samples:,} | "
                    f"{1e6 * settled['crossbar']:.3g} | "
                    f"{1e6 * settled['oscillator']:.3g} | {cost.joules:.1e}, {analog:.1e} | {other.joules:.1e}, {others:.1e} | "
                    f"{1e6 * whole:.3g} | "
                    f"{counts[0]:,} / {counts[1]:,} |",
                    flush=True,
                )
        found.append(row)
    print(f"Cholesky at n = {n}: {n**3 // 6 + n * n} multiply-adds; the inverse {n**3 // 2}")
    return found


def refined_part(runs: int) -> None:
    """Sampled readings refined by digital residuals."""
    print(
        "\nn = 16, refined to |b - A x| <= 1e-6 |b|: runs of four times what contracts by 1/2 by law; settling to 1e-6, us"
    )
    table_head(
        "condition",
        "run, tau",
        "contraction: law's bound",
        "measured, norm of A (s.e.)",
        "runs",
        "sampling, us",
        "the same, bare, us",
        "crossbar",
        "oscillator",
    )
    n = 16
    for condition in (3.0, 30.0, 300.0, 3000.0):
        a, b = m_matrix(n, condition, 1), drive(n, 1)
        device, program = CovarianceDevice(INTEGRATED, seed=3), lay_out(a, "spu", INTEGRATED)
        system, rhs, x = Dense(torch.from_numpy(a)), torch.from_numpy(b), np.linalg.solve(a, b)
        device.solve(system, rhs, 1.05 * shortest(device, system, rhs))
        law = SamplingLaw(program, device.spacing)
        duration = 16 * law.contraction(1.0) ** 2
        factors = []
        for _ in range(runs):
            off = device.solve(system, rhs, duration).x.numpy() - x
            factors.append(math.sqrt(off @ a @ off / (x @ a @ x)))
        measured, error = rms_of(np.array(factors))
        # As it is, without another scaling, whose tau is another one.
        refined = Refined(device, rounds=30, tolerance=1e-6, chopped=False, equilibrate=False)
        solution = refined.solve(system, rhs, duration)
        assert solution.refinement is not None
        slow = {name: compile_matrix(a, name, IDEAL_AMPLIFIERS).settling_time for name in ("crossbar", "oscillator")}
        print(
            f"| {condition:g} | {duration:.0f} | {law.contraction(duration):.3f} | {measured:.3f} ({error:.3f}) | "
            f"{len(solution.refinement.residuals)} | {1e6 * solution.seconds:.3g} | "
            f"{1e6 * law.duration_for(b, 1e-6) * program.tau:.2g} | {1e6 * slow['crossbar'] * math.log(1e6):.3g} | "
            f"{1e6 * slow['oscillator'] * critical(1e-6):.3g} |",
            flush=True,
        )


def critical(accuracy: float) -> float:
    """t with (1 + t) exp(-t) = accuracy, of a critically damped mode."""
    return float(brentq(lambda t: (1 + t) * math.exp(-t) - accuracy, 0.0, 50.0))


def kfac_part() -> None:
    """The factors of K-FAC on digits."""
    from thermograd.optim import KFAC
    from thermograd.optim.tasks.digits import digits

    damping = 1e-2
    print(f"\nK-FAC factors of digits 64-32-10 (tanh), 40 steps of 256 samples, damping {damping:g}")
    table_head(
        "factor",
        "n",
        "mean diagonal",
        "positive couplings",
        "triangles of positive product",
        "lambda* over mean diagonal, two rails",
        "damping of it, over mean diagonal",
        "spu",
    )
    task = digits()
    torch.manual_seed(0)
    model: Any = task.model()
    optimizer = KFAC(model.parameters(), lr=0.3, damping=damping, factored_damping=True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        batch = torch.randint(len(task.train_inputs), (256,), generator=generator)

        def closure(batch: torch.Tensor = batch) -> tuple[torch.Tensor, torch.Tensor]:
            outputs = model(task.train_inputs[batch])
            return task.loss(outputs, task.train_targets[batch]), outputs

        optimizer.step(closure)
    last: tuple[np.ndarray, float] | None = None
    for layer, weight in (("first", model[0].weight), ("last", model[2].weight)):
        kept = optimizer.state[weight]
        factors = {name: kept[name].double().numpy() for name in ("inputs", "outputs")}
        ratio = math.sqrt(
            np.trace(factors["inputs"])
            / len(factors["inputs"])
            / (np.trace(factors["outputs"]) / len(factors["outputs"]))
        )
        for name, factor in factors.items():
            own = math.sqrt(damping) * (ratio if name == "inputs" else 1 / ratio)
            mean = float(np.trace(factor)) / len(factor)
            off = factor[np.triu_indices(len(factor), 1)]
            held, signs = bool((off <= 0).all()), np.sign(factor - np.diag(np.diag(factor)))
            # Of three couplings that signs of the unknowns make negative the product is negative.
            triangles = np.einsum("ij,jk,ki->", np.maximum(signs, 0), np.maximum(signs, 0), np.maximum(signs, 0))
            triangles += 3 * np.einsum("ij,jk,ki->", np.maximum(signs, 0), np.minimum(signs, 0), np.minimum(signs, 0))
            print(
                f"| {layer} layer, {name} | {len(factor)} | {mean:.3g} | {100 * (off > 0).mean():.0f} % | "
                f"{triangles / 6:.0f} | "
                f"{lambda_star(factor) / mean:.2f} | {own / mean:.3g} | {'held' if held else 'not held, at any damping'} |"
            )
            if held:
                last = factor, own
    if last is None:
        return
    factor, own = last
    damped = factor + own * np.eye(len(factor))
    exact = np.linalg.inv(damped)
    print(
        f"\nthe last layer's output factor, {len(factor)} cells, condition {np.linalg.cond(damped):.3g}: one run, inverse on five dies"
    )
    table_head(
        "time, tau",
        "seconds",
        "error of A^-1 (Frobenius), nominal parts",
        "its error bar",
        "five dies, range",
        "multiply-adds of the host",
        "Cholesky inverse",
    )
    n, system = len(factor), Dense(torch.from_numpy(damped))
    device = CovarianceDevice(INTEGRATED, seed=1)
    least = 1.05 * shortest(device, system, torch.ones(n, dtype=torch.float64))
    for duration in (least, 10 * least, 100 * least):
        found = device.inverse(system, duration)
        scale = np.linalg.norm(exact)
        dies = [CovarianceDevice(INTEGRATED, die=k, seed=1).inverse(system, duration) for k in range(1, 6)]
        off = [np.linalg.norm(one.matrix.numpy() - exact) / scale for one in dies]
        print(
            f"| {duration:g} | {found.seconds:.3g} | {np.linalg.norm(found.matrix.numpy() - exact) / scale:.4f} | "
            f"{np.linalg.norm(found.standard_error.numpy()) / scale:.4f} | {min(off):.4f} to {max(off):.4f} | "
            f"{device.work.multiply_adds:,} | {n**3 // 2} |",
            flush=True,
        )


def draw(path: Path, errors: list[dict[str, Any]], settled: list[dict[str, Any]]) -> None:
    """Error against time, and time against accuracy."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from thermograd.report.figures.style import BLACK, CYCLE, WIDE, log_ticks, save, styled

    @styled
    def drawn() -> Figure:
        figure = Figure(figsize=(WIDE, 4.0), layout="constrained")
        left, right = figure.subplots(1, 2)
        for k, one in enumerate(row for row in errors if row["n"] == 16):
            label = f"condition {one['condition']:g}"
            left.errorbar(
                one["times"], one["measured"], yerr=one["errors"], fmt="o", ms=3.5, color=CYCLE[k], label=label
            )
            left.plot(one["times"], one["law"], color=CYCLE[k], linewidth=0.9)
        left.set(xscale="log", yscale="log", xlabel="sampling time (τ)", ylabel="|S′b − Sb| / |Sb|")
        left.set_title("Error of A⁻¹b: runs, and the law (lines)")
        left.legend()
        chosen = (3.0, 300.0, 3000.0)
        styles: dict[str, Any] = {"sampling": "-", "crossbar": "--", "oscillator": ":"}
        for k, one in enumerate(row for row in settled if row["condition"] in chosen):
            for name, style in styles.items():
                right.plot(one["accuracy"], 1e6 * np.array(one[name]), linestyle=style, color=CYCLE[k])
        right.set(xscale="log", yscale="log", xlabel="relative accuracy", ylabel="time (µs)")
        right.set_title("One right-hand side: sampling and settling")
        right.invert_xaxis()
        right.legend(
            [Line2D([], [], color=CYCLE[k]) for k in range(3)]
            + [Line2D([], [], color=BLACK, linestyle=s) for s in styles.values()],
            [f"condition {one:g}" for one in chosen] + list(styles),
            loc="upper left",
        )
        for ax in (left, right):
            for axis in (ax.xaxis, ax.yaxis):
                log_ticks(axis)
        return figure

    save(drawn(), path)
    print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--runs", type=int, default=150)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    chosen = given.part
    errors = error_part(given.runs) if "error" in chosen else []
    if "swing" in chosen:
        swing_part(given.runs)
    if "ngspice" in chosen:
        ngspice_part(16)
    settled = settling_part() if "settling" in chosen else []
    if "refined" in chosen:
        refined_part(given.runs)
    if "kfac" in chosen:
        kfac_part()
    if given.plot is not None:
        draw(given.plot, errors, settled)


if __name__ == "__main__":
    main()
