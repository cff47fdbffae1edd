"""A made-up result of a co-design search, as `codesign.json` has it: laws of cost and score that a reader can check."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

EXACT = 0.972
KNOBS: list[dict[str, Any]] = [
    {"name": "resistors.tolerance", "title": "resistor tolerance", "unit": "1", "log": True, "choices": [], "low": 0.003, "high": 0.1},
    {"name": "adc.bits", "title": "ADC bits", "unit": "bit", "log": False, "choices": [], "low": 3, "high": 10},
    {"name": "opamp.gain", "title": "amplifier gain", "unit": "", "log": True, "choices": [], "low": 1e2, "high": 1e5},
    {"name": "opamp.gbw", "title": "gain-bandwidth product", "unit": "Hz", "log": True, "choices": [], "low": 1e6, "high": 1e9},
    {"name": "refined.chopped", "title": "chopped", "unit": "", "log": False, "choices": [False, True], "low": None, "high": None},
    {"name": "tngd.system", "title": "system", "unit": "", "log": False, "choices": ["dual", "kfac"], "low": None, "high": None},
]  # fmt: skip


def sample_codesign(designs: int = 40, seed: int = 0, winner: bool = True, **changes: Any) -> dict[str, Any]:
    """A result of so many designs; `changes` replace its fields."""
    generator = np.random.default_rng(seed)
    found = [_design(number, generator) for number in range(1, designs + 1)]
    whole = [design for design in found if design["fidelity"] == "full"]
    for design in whole:
        design["front"] = design["feasible"] and not any(
            other["feasible"] and all(other[key] < design[key] for key in ("seconds", "joules")) for other in whole
        )
    best = min((design for design in whole if design["feasible"]), key=lambda one: one["joules"], default=None)
    number = best["number"] if winner and best is not None else None
    result: dict[str, Any] = {
        "format": 1,
        "task": "digits",
        "target": "test_accuracy >= exact_ngd - 0.3",
        "score": {"name": "test accuracy", "percent": True, "more_is_better": True},
        "baseline": {"exact_ngd": EXACT, "seeds": [0, 1, 2], "values": [0.971, 0.972, 0.973]},
        "knobs": KNOBS,
        "designs": found,
        "winner": number,
        "confirmation": None,
        "margins": [],
        "sensitivity": {
            "score": "test accuracy",
            "knobs": {
                knob["name"]: {"first": 0.5 * 0.6**k, "first_conf": 0.05, "total": 0.6 * 0.6**k, "total_conf": 0.06}
                for k, knob in enumerate(KNOBS[:4])
            },
        },
        "references": [
            _reference(
                "exact NGD on the host, Cholesky", 0.011, 0.9, None, EXACT, {"factorisation": 0.7, "products": 0.3}
            ),
            _reference("exact NGD on the host, CG", 0.02, 1.6, None, EXACT, {"products": 1.0}),
            _reference(
                "gf180mcu as it is", 0.4, 0.02, 2.2e-6, 0.93, {"settling": 0.6, "programming": 0.1, "converters": 0.3}
            ),
            _reference("GPU", 0.005, 2.0, None, EXACT, {"derivatives": 0.2, "factorisation": 0.8}),
        ],
        "host": {"rate": 5.85e12, "power": 400.0, "bandwidth": 1.555e12, "idle_power": 53.0},
        "history": [{"seconds_of_search": 60.0 * k, "hypervolume": 1 - math.exp(-k / 4)} for k in range(12)],
        "command": "thermograd codesign --task digits --target 'test_accuracy >= exact_ngd - 0.3' --out digits",
        "seeds": [0, 1, 2],
        "version": "0.1.0",
        "hours": 0.2,
        "notes": ["Seconds and joules are of the whole training: 120 steps times the mean of a step."],
    }
    if best is not None and number is not None:
        result["margins"] = _margins(best)
        result["confirmation"] = {
            "dies": list(range(1, 11)),
            "seeds": [0, 1, 2],
            "scores": [round(float(score), 4) for score in generator.normal(0.970, 0.0015, 30)],
            "mean": 0.970,
            "std": 0.0015,
            "exact_ngd": [0.971, 0.972, 0.973],
            "spice": {"solves": 12, "difference": 0.0021, "std": 0.0004},
        }
    return result | changes


def _design(number: int, generator: np.random.Generator) -> dict[str, Any]:
    tolerance, gain, gbw = (10.0 ** generator.uniform(*ends) for ends in ((-2.5, -1), (2, 5), (6, 9)))
    bits, chopped, system = (
        int(generator.integers(3, 11)),
        bool(generator.integers(2)),
        str(generator.choice(["dual", "kfac"])),
    )
    error = math.hypot(0.3 * tolerance, 0.3 / 2**bits, 2.0 / gain)
    accuracy = EXACT - 0.4 * error
    seconds = 0.01 * (1 + 1e8 / gbw) * (1.3 if chopped else 1.0)
    joules = 1e-3 * (1 + 0.02 * 2**bits + gbw / 3e8 + 1e-2 / tolerance)
    fidelity = "full" if number % 4 else "short" if number % 8 else "solve"
    met = int(generator.binomial(5, 0.9 if accuracy >= EXACT - 0.003 else 0.1))
    share = 0.5 + 0.3 * math.tanh(bits - 6)
    return {
        "number": number,
        "point": {
            "resistors.tolerance": tolerance, "adc.bits": bits, "opamp.gain": gain, "opamp.gbw": gbw, "refined.chopped": chopped,
            "tngd.system": system,
        },
        "reading": "refined",
        "fidelity": fidelity,
        "scores": {"solve error": error} if fidelity == "solve" else {"test accuracy": accuracy, "solve error": error},
        "seconds": seconds,
        "joules": joules,
        "area": 1e-6 * (0.2 + 0.01 * bits / tolerance * 0.1),
        "feasible": fidelity == "full" and accuracy >= EXACT - 0.003,
        "front": False,
        "curve": [] if fidelity == "solve" else [[step, 2.3 * math.exp(-step / 30) + error + 0.05] for step in range(0, 121, 5)],
        "yield": {"met": met, "dies": 5, "low": max(0.0, met / 5 - 0.4), "high": min(1.0, met / 5 + 0.4)} if fidelity == "full" else None,
        "parts": {
            "settling": {"seconds": 0.5 * seconds, "joules": (1 - share) * joules},
            "converters": {"seconds": 0.2 * seconds, "joules": 0.8 * share * joules},
            "programming": {"seconds": 0.3 * seconds, "joules": 0.2 * share * joules},
        },
        "unsourced": ["area.adc"] if number % 5 == 0 else [],
    }  # fmt: skip


def _margins(design: dict[str, Any]) -> list[dict[str, Any]]:
    point = design["point"]
    return [
        {"knob": "resistors.tolerance", "value": point["resistors.tolerance"], "worst": 1.8 * point["resistors.tolerance"], "factor": 1.8},
        {"knob": "adc.bits", "value": point["adc.bits"], "worst": point["adc.bits"], "factor": 1.0},
        {"knob": "opamp.gain", "value": point["opamp.gain"], "worst": math.nan, "factor": math.inf},
        {"knob": "opamp.gbw", "value": point["opamp.gbw"], "worst": point["opamp.gbw"] / 3, "factor": 3.0},
    ]  # fmt: skip


def _reference(
    name: str, seconds: float, joules: float, area: float | None, score: float, shares: dict[str, float]
) -> dict[str, Any]:
    return {
        "name": name, "seconds": seconds, "joules": joules, "area": area, "score": score,
        "parts": {part: {"seconds": share * seconds, "joules": share * joules} for part, share in shares.items()},
    }  # fmt: skip
