"""Made-up results of the demo's form, with what the report needs and nothing simulated."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

LEVELS = {
    "tolerance": (
        "Resistor tolerance",
        "standard deviation of a resistor",
        "1",
        True,
        [(v, v) for v in (0.003, 0.01, 0.03, 0.1, 0.3)],
    ),
    "isolation": (
        "Thermal isolation",
        "temperature spread over the die",
        "K",
        False,
        [(0.0, 0.0), (1e-3, 0.9), (3e-3, 2.6), (1e-2, 8.0), (0.1, 41.0)],
    ),
    "adc": (
        "Resolution of the ADC",
        "ADC resolution",
        "bit",
        False,
        [(float(v), float(v)) for v in (2, 3, 4, 6, 8, 10)],
    ),
}


def sample_results(seed: int = 0, unknowns: int = 48, points: int = 600) -> dict[str, Any]:
    """Made-up results of the demo's form: an Ornstein-Uhlenbeck run, noisy comparisons, saturating training curves."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((unknowns, max(3, unknowns // 3))) * np.geomspace(1, 0.08, max(3, unknowns // 3))
    a = factor @ factor.T / 3 + 0.1 * np.eye(unknowns)
    b = rng.standard_normal(unknowns) * 0.2
    return {
        "meta": {
            "version": "0.1.0",
            "seed": seed,
            "python": "3.11.2",
            "torch": "2.13.0",
            "ngspice": "39.3",
            "cores": 2,
            "seconds": {
                "matrix": 3.1,
                "transient": 22.4,
                "calibration": 95.0,
                "training": 71.3,
                "loop": 30.2,
                "studies": 84.9,
            },
            "total_seconds": 306.9,
        },
        "matrix": _matrix(a, b),
        "transient": _transient(a, b, points, rng),
        "calibration": _calibration(rng),
        "refinement": _refinement(rng),
        "poisson": _poisson(),
        "training": _training(rng),
        "loop": _loop(rng),
        "studies": [_study(name, rng) for name in LEVELS],
        "causes": sample_causes(),
    }


CAUSES = ("mismatch", "codes", "DAC", "ADC", "offsets", "noise", "leak", "bandwidth", "temperature", "settling")


def sample_causes(dies: tuple[int, ...] = (1, 2, 3)) -> dict[str, Any]:
    """Causes of an error, of the form of `ErrorBudget.to_dict()`: each makes half of the one before, refined the square of it."""

    def summary(error: float) -> dict[str, Any]:
        return {"median": error, "least": 0.7 * error, "most": 1.6 * error, "systems": [error]}

    def ranking(power: int) -> dict[str, Any]:
        sizes = [0.1 * 0.5**k for k in range(len(CAUSES))]
        total = sum(size**2 for size in sizes)
        causes = [
            {
                "cause": name,
                "meaning": f"what {name} does",
                "share": size**2 / total,
                "without": summary((total - size**2) ** (power / 2)),
                "alone": summary(size**power),
                "remaining": summary(sum(other**2 for other in sizes[k + 1 :]) ** (power / 2)),
            }
            for k, (name, size) in enumerate(zip(CAUSES, sizes, strict=True))
        ]
        return {"total": summary(total ** (power / 2)), "ideal": summary(1e-15), "explained": 1.0, "causes": causes}

    return {
        "technology": "integrated",
        "device": "surrogate",
        "layout": False,
        "duration_tau": 20.0,
        "dies": list(dies),
        "systems": 1,
        "rounds": 2,
        "readings": {"bare": ranking(1), "refined": ranking(3)},
        "unknowns": 48,
    }


def _matrix(a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    n, values = len(a), np.linalg.eigvalsh(a)
    star = 7.3123
    return {
        "source": "The dual system of a batch of 6 at step 20 of a TNGD run on digits: "
        "its damping keeps it positive definite",
        "unknowns": n,
        "batch": 6,
        "damping": 0.1,
        "step": 20,
        "A": a.tolist(),
        "b": b.tolist(),
        "eigenvalues": values.tolist(),
        "lambda_star": star,
        "mean_diagonal": float(np.trace(a) / n),
        "verified": 3.2e-13,
        "reason": f"lambda* = {star:.4g} (6.1 times the mean diagonal) more damping would be needed for positive "
        "resistors alone, so the couplings need amplifiers",
        "passive": False,
        "program": {
            "unknowns": n,
            "fabric": "crossbar",
            "reason": "lambda* > 0",
            "technology": "integrated",
            "damping": 0.1,
            "lambda_star": star,
            "condition_number": float(values[-1] / values[0]),
            "matrix_error": 2.1e-3,
            "solution_error": 8.7e-3,
            "conductance_unit": 4.3e-5,
            "volts_per_unit": 0.31,
            "tau": 2.3e-7,
            "slow_time": 2.3e-6,
            "smallest_resistor": 1e4,
            "largest_resistor": 2.4e6,
            "resistor_power": 4.1e-3,
            "parts": {"resistor": 2 * n * n + 2 * n, "capacitor": 2 * n, "amplifier": n},
            "bill": [["resistor", 1e4, 96]],
        },
        "netlist": "* thermograd crossbar, 48 unknowns\n"
        + "\n".join(f"R1_{j}p p{j} ep1 {1e4 * j:.17g} temp=27" for j in range(1, 60)),
        "netlist_lines": 9942,
        "netlist_file": "netlist.cir",
    }


def _transient(a: np.ndarray, b: np.ndarray, points: int, rng: np.random.Generator) -> dict[str, Any]:
    n, (values, basis) = len(a), np.linalg.eigh(a)
    time = np.linspace(0.0, 5 / values[0], points)
    decay = np.exp(-np.outer(time, values))
    solution = basis @ ((basis.T @ b) / values)
    mean = solution + (decay * (basis.T @ (b - solution))) @ basis.T
    shown = [int(k) for k in np.argsort(-np.abs(solution))[[0, 1, 2, 3, n // 2, n - 1]]]
    std = np.sqrt(4e-4 * (1 - np.exp(-2 * time)))[:, None] * np.ones(len(shown))
    noise = np.zeros((points, len(shown)))
    keep = np.exp(-(time[1] - time[0]) / 0.4)
    for k in range(1, points):
        noise[k] = keep * noise[k - 1] + np.sqrt(1 - keep**2) * rng.standard_normal(len(shown))
    spice = mean[:, shown] + std * noise
    return {
        "technology": "integrated",
        "die": 1,
        "tau_seconds": 2.3e-7,
        "time": time.tolist(),
        "spice": spice.T.tolist(),
        "law_mean": mean[:, shown].T.tolist(),
        "law_std": std.T.tolist(),
        "solution": solution[shown].tolist(),
        "shown": shown,
        "points": points,
        "h_seconds": 2e-9,
        "rms_over_std": 1.0072,
        "rms_uncertainty": 0.0113,
        "final_error": 0.0231,
    }


def _calibration(rng: np.random.Generator) -> dict[str, Any]:
    comparisons = []
    for k in range(20):
        n, new = (4, 8, 12, 16, 48)[k % 5], k % 2 == 1
        spice = rng.standard_normal(n) * rng.uniform(0.005, 0.03)
        surrogate = spice + rng.standard_normal(n) * (0.0035 if new else 0.0014)
        comparisons.append(
            {
                "unknowns": n,
                "die": 101 if new else 1,
                "new_die": new,
                "real": n == 48,
                "spice": spice.tolist(),
                "surrogate": surrogate.tolist(),
            }
        )
    old, new = ([c for c in comparisons if c["new_die"] is kind] for kind in (False, True))
    estimate = {
        "gain": (1.0002, 1e-4),
        "leak": (5.1e-4, 3e-6),
        "lag": (3.2e-10, 4e-12),
        "mismatch": (0.0101, 2e-4),
        "capacitor_mismatch": (0.0052, 9e-4),
        "offset": (5.1e-4, 4e-5),
        "noise_power": (1.004, 0.012),
    }
    converter = {"bits": 8, "full_scale": 1.0, "gain_error": 0.002, "offset": 5e-4, "noise": 5e-4, "max_gain": 64.0}
    card: dict[str, Any] = {name: {"value": value, "std": std} for name, (value, std) in estimate.items()}
    card |= {
        "technology": {"name": "integrated"},
        "fabric": "crossbar",
        "dac": converter,
        "adc": converter,
        "held_out": {
            "systems": 20,
            "explained_variance": explained(old),
            "explained_variance_new_dies": explained(new),
            "spice_error": 0.071,
            "residual": 0.008,
            "intervals": {"residual": (0.005, 0.012)},
        },
        "validity": {"unknowns": [4, 48], "condition_number": [5.2, 96.0]},
        "provenance": {"simulator": "ngspice", "seed": 0, "fitted_runs": 24, "held_out_runs": 20},
    }
    return {"card": card, "comparisons": comparisons, "technology": "integrated"}


def explained(comparisons: list[dict[str, Any]]) -> float:
    """Written out slowly: one minus the squared differences over the squared deviations from each system's mean."""
    left = total = 0.0
    for item in comparisons:
        middle = sum(item["spice"]) / len(item["spice"])
        for spice, surrogate in zip(item["spice"], item["surrogate"], strict=True):
            left, total = left + (spice - surrogate) ** 2, total + (spice - middle) ** 2
    return 1 - left / total


def _poisson() -> dict[str, Any]:
    """Errors that fall as powers of the steps, each seed's off by a factor."""
    ways = (("die", "TNGD on 3 dies, refined", 40, 2.0), ("adam", "Adam", 2000, 0.7))
    runs = []
    for kind, label, last, power in (*ways, ("ngd", "exact NGD", 40, 3.0), ("tngd", "TNGD, ideal device", 40, 3.0)):
        steps = list(range(0, last + 1, last // 20))
        for seed, factor in enumerate((0.8, 1.0, 1.5)):
            errors = [0.67 * factor / max(1, step) ** power for step in steps]
            runs.append({"kind": kind, "label": label, "seed": seed, "steps": steps, "errors": errors})
    table = [
        {
            "label": label,
            "runs": 3,
            "steps": last,
            "error": 2e-4,
            "least": 1e-4,
            "most": 3e-4,
            "reached": [25.0, None],
            "digital_seconds": 0.03,
            "analog_runs": 12.0 if kind == "die" else 0.0,
            "products": 78.0 if kind == "die" else 0.0,
            "retried": 1,
        }
        for kind, label, last, _ in ways
    ]
    facts = {"parameters": 1185, "residuals": 360, "damping": 0.01, "deflation": 20, "extrapolated": 1.0}
    return {"runs": runs, "table": table, **facts}


def _training(rng: np.random.Generator) -> dict[str, Any]:
    kinds = [
        ("sgd", None, 90, 0.955, 3e-4),
        ("adam", None, 55, 0.962, 4e-4),
        ("ngd", None, 22, 0.969, 4e-3),
        ("tngd", None, 22, 0.968, 1.2e-3),
    ]
    kinds += [("tngd", die, 24, 0.966, 1.2e-3) for die in (1, 2, 3)]
    kinds += [("tngd", die, 24, 0.80, 1.1e-3) for die in (1, 2, 3)]
    steps, runs = list(range(0, 301, 10)), []
    for optimizer, die, pace, top, seconds in kinds:
        reading = "" if die is None else "refined" if top > 0.9 else "bare"
        for seed in range(3):
            level = top + 0.004 * rng.standard_normal()
            accuracy = [
                float(
                    np.clip(
                        0.1 + (level - 0.1) * (1 - np.exp(-((s / pace) ** 0.8))) + 0.003 * rng.standard_normal(), 0, 1
                    )
                )
                for s in steps
            ]
            runs.append(
                {
                    "optimizer": optimizer,
                    "label": f"{optimizer} {die}",
                    "die": die,
                    "reading": reading,
                    "seed": seed,
                    "steps": steps,
                    "accuracy": accuracy,
                    "loss": [2.3 * float(np.exp(-s / pace)) + 0.08 for s in steps],
                    "hybrid_seconds": [seconds * s for s in steps],
                }
            )
    table = [
        {
            "label": name,
            "runs": count,
            "accuracy_mean": top,
            "accuracy_std": 0.004,
            "steps_to_95": reached,
            "hybrid_seconds": 300 * seconds,
            "analog_runs": 5.1 if "dies" in name else 0.0,
            "products": 2.4 if "refined" in name else 0.0,
            **dict.fromkeys(("clipped", "skipped", "extrapolated", "retried", "gradient"), 7),
            "seconds_per_step": {
                "digital": seconds * 0.9,
                "programming": programming,
                "drive": programming / 24,
                "analog": programming * 3,
                "reading": programming / 24,
            },
        }
        for name, count, top, reached, seconds, programming in (
            ("SGD", 3, 0.955, 223.3, 3e-4, 0.0),
            ("Adam", 3, 0.962, 130.0, 4e-4, 0.0),
            ("exact NGD", 3, 0.969, 56.7, 4e-3, 0.0),
            ("TNGD, ideal device", 3, 0.968, 60.0, 1.2e-3, 3.8e-7),
            ("TNGD, dies, refined", 9, 0.966, None, 1.2e-3, 3.8e-7),
            ("TNGD, dies, bare", 9, 0.80, None, 1.1e-3, 3.8e-7),
        )
    ]
    return {
        "task": "digits(seed=0, hidden=32, tanh)",
        "steps": 300,
        "batch": 6,
        "runs": runs,
        "table": table,
        "note": "Digital time is measured on this machine; transfers and settling are modelled.",
    }


def _refinement(rng: np.random.Generator) -> dict[str, Any]:
    dies = []
    for kind, count in (("spice", 3), ("surrogate", 20)):
        for die in range(1, 1 + count):
            rate = 10 ** rng.uniform(-1.4, -1.0)
            dies.append(
                {
                    "kind": kind,
                    "die": die,
                    "bare": 0.4 * rng.uniform(0.5, 1.5),
                    "errors": [0.05 * rate**k for k in range(5)],
                    "residual": 0.02 * rate**4,
                    "bound": 0.2 * rate**4,
                    "runs": 11,
                }
            )
    return {
        "technology": "integrated",
        "step": 100,
        "unknowns": 27,
        "damping": 0.1,
        "condition": 61.2,
        "scaled_condition": 43.1,
        "dies": dies,
        "control": [0.9, 0.6, 0.35, 0.2, 0.12],
    }


def _loop(rng: np.random.Generator) -> dict[str, Any]:
    systems = []
    for step in (10, 60, 120, 200, 299):
        exact = rng.standard_normal(48)
        scale = np.linalg.norm(exact)
        spice = exact + 0.02 * scale / 7 * rng.standard_normal(48)
        surrogate = spice + 0.0022 * scale / 7 * rng.standard_normal(48)
        error, other, apart = (
            float(np.linalg.norm(v) / scale) for v in (spice - exact, surrogate - exact, spice - surrogate)
        )
        systems.append(
            {
                "step": step,
                "unknowns": 48,
                "spice_error": error,
                "surrogate_error": other,
                "difference": apart,
                "explained": 1 - (apart / error) ** 2,
                "spice": spice.tolist(),
                "surrogate": surrogate.tolist(),
                "exact": exact.tolist(),
                "spice_seconds": 5.2,
                "surrogate_seconds": 0.011,
            }
        )
    return {"die": 2, "systems": systems}


def _study(name: str, rng: np.random.Generator) -> dict[str, Any]:
    title, axis, unit, logarithmic, levels = LEVELS[name]
    harm = {"tolerance": 3.0, "isolation": 0.002, "adc": 0.0}[name]
    runs = []
    for reading, (level, shown) in itertools.product(("refined", "bare"), levels):
        loss = (2.0 if reading == "bare" else 1.0) * (
            0.8 * 2.0 ** (-1.7 * level) if name == "adc" else harm * shown**1.9 if name == "tolerance" else harm * shown
        )
        for die in (1, 2, 3):
            accuracy = float(np.clip(0.966 - loss * rng.uniform(0.7, 1.3) + 0.003 * rng.standard_normal(), 0.1, 1))
            runs.append(
                {
                    "reading": reading,
                    "level": level,
                    "shown": shown,
                    "die": die,
                    "seed": die,
                    "scores": {"test accuracy": accuracy, "training loss": 0.1},
                    "outcomes": {"ok": 299, "clipped": 1},
                    "gradient": 0,
                }
            )
    check = {"level": levels[2][0], "die": 1, "difference": 0.0061} if name == "tolerance" else None
    return {
        "name": name,
        "title": title,
        "axis": axis,
        "unit": unit,
        "log": logarithmic,
        "levels": [level for level, _ in levels],
        "readings": ["refined", "bare"],
        "scores": {
            "test accuracy": {"percent": True, "more_is_better": True},
            "training loss": {"percent": False, "more_is_better": False},
        },
        "dies": [1, 2, 3],
        "seeds": [0],
        "ideal": [{"seed": 0, "scores": {"test accuracy": 0.9676, "training loss": 0.09}}],
        "steps": 300,
        "batch": 6,
        "runs": runs,
        "check": check,
    }
