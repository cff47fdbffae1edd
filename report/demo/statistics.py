"""Statistics of the results, with standard errors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit

from ..figures.training import training_groups

EXPLAINED_BAR = 0.95
"""Required explained variance of SPICE's error on held-out systems of fitted dies."""
SIGMAS = 3.0
"""Accepted distance between a measured value and its law, in standard errors."""
RESAMPLES = 2000


def explained_variance(comparisons: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """1 - sum |e_spice - e_surrogate|^2 / sum |e_spice - mean|^2, and its standard error by resampling the systems."""
    if not comparisons:
        return math.nan, math.nan
    left, total = [], []
    for item in comparisons:
        spice, surrogate = np.array(item["spice"], dtype=float), np.array(item["surrogate"], dtype=float)
        left.append(np.sum((spice - surrogate) ** 2))
        total.append(np.sum((spice - spice.mean()) ** 2))
    drawn = np.random.default_rng(0).integers(len(left), size=(RESAMPLES, len(left)))
    with np.errstate(divide="ignore", invalid="ignore"):
        resampled = 1 - np.array(left)[drawn].sum(axis=1) / np.array(total)[drawn].sum(axis=1)
        value = 1 - float(np.sum(left)) / float(np.sum(total)) if np.sum(total) > 0 else math.nan
    return value, float(np.std(resampled, ddof=1)) if len(left) > 1 else math.nan


def paired_difference(training: dict[str, Any], left: tuple[str, str], right: tuple[str, str]) -> dict[str, Any] | None:
    """Mean over common seeds of the difference in final accuracy between two kinds of runs, (optimizer, reading of dies or "" without).

    Returns:
        mean, its standard error, the number of seeds, and whether the difference is beyond the two-sided 95 % range
        of Student's t; None without common seeds.
    """

    def finals(kind: tuple[str, str]) -> dict[int, float]:
        by_seed: dict[int, list[float]] = {}
        for run in training["runs"]:
            if (run["optimizer"], run["reading"] if run.get("die") is not None else "") == kind:
                by_seed.setdefault(run["seed"], []).append(float(run["accuracy"][-1]))
        return {seed: float(np.mean(values)) for seed, values in by_seed.items()}

    a, b = finals(left), finals(right)
    seeds = sorted(set(a) & set(b))
    if not seeds:
        return None
    apart = np.round([a[seed] - b[seed] for seed in seeds], 12)  # runs that agree differ by rounding
    error = float(apart.std(ddof=1) / math.sqrt(len(seeds))) if len(seeds) > 1 else math.nan
    # Without any scatter, which few seeds can have by chance, nothing is said.
    beyond = error > 0 and abs(float(apart.mean())) > float(stdtrit(len(seeds) - 1, 0.975)) * error
    return {"mean": float(apart.mean()), "error": error, "seeds": len(seeds), "beyond": beyond}


def facts(results: dict[str, Any]) -> dict[str, Any]:
    """Statistics that the captions quote."""
    found: dict[str, Any] = {}
    if calibration := results["calibration"]:
        sets = {
            "old": [c for c in calibration["comparisons"] if not c["new_die"]],
            "new": [c for c in calibration["comparisons"] if c["new_die"]],
        }
        sets["real"] = [c for c in calibration["comparisons"] if c.get("real")]
        found["explained"] = {name: explained_variance(items) for name, items in sets.items()}
        found["systems"] = {name: len(items) for name, items in sets.items()}
    if refinement := results["refinement"]:
        found["refinement"] = refinement_facts(refinement)
    if training := results["training"]:
        found["groups"] = training_groups(training)
        pairs = (
            ("TNGD on the ideal device", ("tngd", ""), "exact NGD", ("ngd", "")),
            ("TNGD on dies of refined readings", ("tngd", "refined"), "exact NGD", ("ngd", "")),
            ("TNGD on dies of bare readings", ("tngd", "bare"), "exact NGD", ("ngd", "")),
            ("exact NGD", ("ngd", ""), "Adam", ("adam", "")),
        )
        gaps = [(name, other, paired_difference(training, left, right)) for name, left, other, right in pairs]
        found["differences"] = [entry for entry in gaps if entry[2]]
    if loop := results["loop"]:
        found["loop"] = loop_facts(loop)
    if results["studies"]:
        found["studies"] = [study_rows(study) for study in results["studies"]]
        shares = [row["extrapolated"] for rows in found["studies"] for row in rows]
        found["extrapolated"] = max(shares, default=math.nan)
    return found


def refinement_facts(refinement: dict[str, Any]) -> dict[str, Any]:
    """Over ngspice's dies: largest errors of bare and refined readings, bound of the last, runs; the control's last error."""
    dies = [die for die in refinement["dies"] if die["kind"] == "spice"]
    errors = [float(value) for value in np.max([die["errors"] for die in dies], axis=0)]
    return {
        "dies": len(dies),
        "bare": float(np.max([die["bare"] for die in dies])),
        "errors": errors,
        "bound": float(np.max([die["bound"] for die in dies])),
        "runs": float(np.max([die["runs"] for die in dies])),
        "control": float(refinement["control"][-1]),
    }


def loop_facts(loop: dict[str, Any]) -> dict[str, float]:
    """Extremes over the systems of SPICE in the loop: largest difference, largest error of ngspice, least explained variance."""
    systems = loop["systems"]
    return {
        "difference": float(np.max([item["difference"] for item in systems])),
        "spice_error": float(np.max([item["spice_error"] for item in systems])),
        "explained": float(np.min([item["explained"] for item in systems])),
    }


def study_rows(study: dict[str, Any]) -> list[dict[str, Any]]:
    """For each reading and level: label, mean and standard deviation of the accuracy over dies, worst die, steps not ok."""
    rows = []
    score = next(iter(study["scores"]))
    baseline = float(np.mean([found["scores"][score] for found in study["ideal"]]))
    for reading, level in itertools.product(study["readings"], study["levels"]):
        runs = [run for run in study["runs"] if (run["reading"], run["level"]) == (reading, level)]
        if not runs:
            continue
        accuracy = [float(run["scores"][score]) for run in runs]
        shown = float(level if runs[0].get("shown") is None else runs[0]["shown"])
        outcomes: dict[str, int] = {}
        for run in runs:
            for name, count in (run.get("outcomes") or {}).items():
                outcomes[name] = outcomes.get(name, 0) + count
        steps = sum(outcomes.values())
        share = study.get("unit") in ("1", "", None)
        rows.append(
            {
                "reading": reading,
                "level": float(level),
                "label": f"{100 * shown:.3g} %" if share else f"{shown:.3g} {study['unit']}",
                "mean": float(np.mean(accuracy)),
                "std": float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else math.nan,
                "worst": min(accuracy),
                "dies": len(accuracy),
                "not_ok": 1 - (outcomes.get("ok", 0) + outcomes.get("extrapolated", 0)) / steps if steps else math.nan,
                "extrapolated": outcomes.get("extrapolated", 0) / steps if steps else math.nan,
                "loss": baseline - float(np.mean(accuracy)),
            }
        )
    return rows
