"""The report's summary: one sentence each on circuit, surrogate and training, with what misses its requirement."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from ..figures.error_curves import error_curves
from ..figures.training import Group, training_groups
from ..formatting import percent, plus_minus, significant
from .statistics import EXPLAINED_BAR, SIGMAS, explained_variance, loop_facts, paired_difference, refinement_facts


def summary(results: dict[str, Any]) -> list[Markup]:
    """Up to five sentences: circuit, surrogate, refined readings, an equation, training; each marks what misses its requirement."""
    return [
        sentence
        for sentence in (
            _circuit(results),
            _surrogate(results),
            _refinement(results),
            _poisson(results),
            _network(results),
        )
        if sentence
    ]


def _circuit(results: dict[str, Any]) -> Markup:
    matrix, transient = results["matrix"], results["transient"]
    if not matrix:
        return Markup("")
    program = matrix["program"]
    text = Markup(
        "A curvature matrix of <b>{} unknowns</b> from step {} of a training run became a {} circuit of <b>{} parts</b>"
    ).format(
        matrix["unknowns"], matrix["step"], program["fabric"].replace("_", "-"), f"{sum(program['parts'].values()):,}"
    )
    if not transient:
        return text + "."
    ratio, error = transient["rms_over_std"], transient["rms_uncertainty"]
    text += Markup("; in ngspice, its thermal noise is <b>{}</b> times that of the exact law").format(
        plus_minus(ratio, error)
    )
    if error and not abs(ratio - 1) <= SIGMAS * error:
        text += Markup(', <span class="miss">which misses 1 by {} standard errors</span>').format(
            significant(abs(ratio - 1) / error, 2)
        )
    return text + Markup(", and its relative error at the last point is {}.").format(percent(transient["final_error"]))


def _surrogate(results: dict[str, Any]) -> Markup:
    calibration = results["calibration"]
    if not calibration:
        return Markup("")
    old = [item for item in calibration["comparisons"] if not item["new_die"]]
    new = [item for item in calibration["comparisons"] if item["new_die"]]
    pieces = Markup("")
    if old:
        value, error = explained_variance(old)
        pieces += Markup(
            "The surrogate explains <b>{}</b> of the variance of SPICE’s error on held-out systems"
        ).format(plus_minus(value, error, 100, "%"))
        verdict = (
            Markup(" (required: {})")
            if value >= EXPLAINED_BAR
            else Markup(', <span class="miss">below the required {}</span>')
        )
        pieces += verdict.format(percent(EXPLAINED_BAR, 0))
    if new:
        value, error = explained_variance(new)
        lead = ", and" if old else "The surrogate explains"
        pieces += Markup("{} <b>{}</b> on new dies").format(lead, plus_minus(value, error, 100, "%"))
    return pieces + "."


def _refinement(results: dict[str, Any]) -> Markup:
    if not results["refinement"]:
        return Markup("")
    found = refinement_facts(results["refinement"])
    return Markup(
        "In ngspice, a bare reading of a system of {} unknowns is off by up to <b>{}</b>; read with a unit diagonal, at both signs of b, "
        "and corrected by {} digital residuals, by <b>{}</b>."
    ).format(
        results["refinement"]["unknowns"],
        percent(found["bare"]),
        len(found["errors"]) - 1,
        percent(found["errors"][-1], 4),
    )


def _poisson(results: dict[str, Any]) -> Markup:
    if not results["poisson"]:
        return Markup("")
    curves = {curve.kind: curve for curve in error_curves(results["poisson"])}
    dies, exact, adam = curves.get("die"), curves.get("ngd"), curves.get("adam")
    if not dies:
        return Markup("")
    text = Markup("Poisson’s equation is solved by {} to a relative error of <b>{}</b> in {} steps").format(
        dies.label, significant(dies.median[-1], 2), dies.steps[-1]
    )
    if exact:
        text += Markup(", by exact NGD to <b>{}</b>").format(significant(exact.median[-1], 2))
    if adam:
        words = Markup("{}") if dies.median[-1] < adam.median[-1] else Markup('<span class="miss">{}</span>')
        text += Markup(", and by Adam in {} to ").format(f"{adam.steps[-1]:,}")
        text += words.format(significant(adam.median[-1], 2))
    return text + "."


def _network(results: dict[str, Any]) -> Markup:
    training, loop = results["training"], results["loop"]
    text = Markup("")
    if training:
        groups = {
            (
                group.runs[0]["optimizer"],
                group.runs[0]["reading"] if group.runs[0].get("die") is not None else "",
            ): group
            for group in training_groups(training)
        }
        reading = "refined" if ("tngd", "refined") in groups else "bare"
        dies, bare, exact = groups.get(("tngd", reading)), groups.get(("tngd", "bare")), groups.get(("ngd", ""))
        if dies:
            text += Markup("{} reaches <b>{}</b> test accuracy after {} steps").format(dies.label, *_final(dies))
        if dies and exact:
            text += Markup(" against <b>{}</b> for exact NGD").format(_final(exact)[0])
            gap = paired_difference(training, ("tngd", reading), ("ngd", ""))
            if gap and gap["beyond"]:
                worse = gap["mean"] < 0
                words = Markup('<span class="miss">{}</span>') if worse else Markup("{}")
                text += Markup(", ") + words.format(f"{'worse' if worse else 'better'} by a significant margin")
            elif gap and gap["seeds"] > 1:
                text += f", no significant difference over {gap['seeds']} seeds"
            if bare and bare is not dies:
                text += Markup("; the same dies with bare readings reach <b>{}</b>").format(_final(bare)[0])
    if loop:
        found = loop_facts(loop)
        count = len(loop["systems"])
        text += Markup(
            "{} ngspice and the surrogate of the same die differ by at most <b>{}</b> of the solution on {} systems"
        ).format(
            "; with ngspice in the loop," if text else "With ngspice in the loop,",
            percent(found["difference"], 2),
            count,
        )
        if found["explained"] < EXPLAINED_BAR:
            text += Markup(', <span class="miss">and the explained variance falls to {}</span>').format(
                percent(found["explained"])
            )
    return text + "." if text else text


def _final(group: Group) -> tuple[str, int]:
    """Final accuracy with its standard deviation over the runs, and the step."""
    return plus_minus(float(group.mean[-1]), float(group.std[-1]), 100, "%"), int(group.steps[-1])
