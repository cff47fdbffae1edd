"""The report: one HTML file that shows a whole run, with every number computed from its results.

`write_report` takes the dictionary that `thermograd demo` also saves as report.json and needs nothing else: no
network, no scripts, no other files. Parts that a run did not have are said to be missing. The sentences of the
summary compare each key figure with the bar it has to clear, and say so where it does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from scipy.special import stdtrit

from ..circuits.files import write_text
from .figures import demo as plots
from .figures.style import to_svg

EXPLAINED_BAR = 0.95
"""Share of the variance of SPICE's error that the surrogate has to explain on systems not fitted, same dies."""
SIGMAS = 3.0
"""Standard errors between a measured figure and its law that count as chance."""
RESAMPLES = 2000
PARTS = ("matrix", "transient", "calibration", "training", "loop", "studies")


def write_report(results: dict[str, Any], path: Path | str) -> None:
    """Write the report, whole or not at all.

    Args:
        results: what `demo.run_demo` returns: `meta` and any of `PARTS`; a missing, null or empty part is left out.
        path: the HTML file.
    """
    write_text(Path(path), render(results))


def write_overview(results: dict[str, Any], path: Path | str) -> None:
    """The report's first picture, the whole chain at a glance, as a file: .png, .svg or .pdf."""
    figure = plots.overview_figure({**results, **{name: results.get(name) or None for name in PARTS}})
    figure.savefig(path, dpi=150)


def render(results: dict[str, Any]) -> str:
    """The report as HTML text. See `write_report`."""
    given = {name: results.get(name) or None for name in PARTS}
    if given["training"] and not given["training"]["runs"]:
        given["training"] = None
    if given["calibration"] and not given["calibration"]["comparisons"]:
        given["calibration"] = None
    if given["loop"] and not given["loop"]["systems"]:
        given["loop"] = None
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, pm=plus_minus, si=si, sig=significant)
    template = environment.get_template("report.html")
    return template.render(
        results=given,
        meta=results.get("meta") or {},
        summary=summary(given),
        facts=facts(given),
        svg=_figures({**results, **given}),
        bar=EXPLAINED_BAR,
    )


# --- numbers as text --------------------------------------------------------------------------------------------------


def significant(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent where it reads well."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 10.0 ** max(digits, 4):
        return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}".replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{power}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percent with so many decimals."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %".replace("-", "−")


def plus_minus(value: float | None, uncertainty: float | None, scale: float = 1.0, unit: str = "") -> str:
    """`value ± uncertainty unit`, both times `scale` and with the decimals that the uncertainty deserves."""
    tail = f" {unit}" if unit else ""
    if value is None or not math.isfinite(value):
        return "–"
    if uncertainty is None or not math.isfinite(uncertainty) or uncertainty <= max(0.0, 1e-13 * abs(value)):
        return f"{significant(scale * value)}{tail}"
    value, uncertainty = scale * value, scale * uncertainty
    size = math.floor(math.log10(uncertainty))
    decimals = max(0, -size + (uncertainty < 1.95 * 10.0**size))
    return f"{value:.{decimals}f} ± {uncertainty:.{decimals}f}{tail}".replace("-", "−")


def si(value: float | None, unit: str) -> str:
    """A number with an SI prefix: 2.3e-7 s is 230 ns."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return f"0 {unit}"
    step = min(4, max(-5, math.floor(math.log10(abs(value)) / 3)))
    return f"{significant(value / 1000.0**step)} {'fpnµm kMGT'[step + 5].strip()}{unit}"


# --- figures computed from the results --------------------------------------------------------------------------------


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


def paired_difference(
    training: dict[str, Any], left: tuple[str, bool], right: tuple[str, bool]
) -> dict[str, Any] | None:
    """Mean over common seeds of the final accuracy of one kind of run less another's; a kind is (optimizer, on dies).

    Returns:
        mean, its standard error, the number of seeds, and whether the difference is beyond the two-sided 95 % range
        of Student's t; None without common seeds.
    """

    def finals(kind: tuple[str, bool]) -> dict[int, float]:
        by_seed: dict[int, list[float]] = {}
        for run in training["runs"]:
            if (run["optimizer"], run.get("die") is not None) == kind:
                by_seed.setdefault(run["seed"], []).append(float(run["accuracy"][-1]))
        return {seed: float(np.mean(values)) for seed, values in by_seed.items()}

    a, b = finals(left), finals(right)
    seeds = sorted(set(a) & set(b))
    if not seeds:
        return None
    apart = np.array([a[seed] - b[seed] for seed in seeds])
    error = float(apart.std(ddof=1) / math.sqrt(len(seeds))) if len(seeds) > 1 else math.nan
    beyond = len(seeds) > 1 and abs(float(apart.mean())) > float(stdtrit(len(seeds) - 1, 0.975)) * error
    return {"mean": float(apart.mean()), "error": error, "seeds": len(seeds), "beyond": beyond}


def facts(results: dict[str, Any]) -> dict[str, Any]:
    """What the captions quote and the results do not hold as they stand."""
    found: dict[str, Any] = {}
    if calibration := results["calibration"]:
        sets = {
            "old": [c for c in calibration["comparisons"] if not c["new_die"]],
            "new": [c for c in calibration["comparisons"] if c["new_die"]],
        }
        sets["real"] = [c for c in calibration["comparisons"] if c.get("real")]
        found["explained"] = {name: explained_variance(items) for name, items in sets.items()}
        found["systems"] = {name: len(items) for name, items in sets.items()}
    if training := results["training"]:
        found["groups"] = plots.training_groups(training)
        pairs = (
            ("TNGD on the ideal device", ("tngd", False), "exact NGD", ("ngd", False)),
            ("TNGD on calibrated dies", ("tngd", True), "exact NGD", ("ngd", False)),
            ("exact NGD", ("ngd", False), "Adam", ("adam", False)),
        )
        gaps = [(name, other, paired_difference(training, left, right)) for name, left, other, right in pairs]
        found["differences"] = [entry for entry in gaps if entry[2]]
    if loop := results["loop"]:
        systems = loop["systems"]
        found["loop"] = {
            "difference": float(np.max([item["difference"] for item in systems])),
            "spice_error": float(np.max([item["spice_error"] for item in systems])),
            "explained": float(np.min([item["explained"] for item in systems])),
        }
    if results["studies"]:
        found["studies"] = [study_rows(study) for study in results["studies"]]
    return found


def study_rows(study: dict[str, Any]) -> list[dict[str, Any]]:
    """For each level: label, mean and standard deviation of the accuracy over dies, worst die, steps not ok."""
    rows = []
    for level in study["levels"]:
        runs = [run for run in study["runs"] if run["level"] == level]
        if not runs:
            continue
        accuracy = [float(run["accuracy"]) for run in runs]
        shown = float(level if runs[0].get("shown") is None else runs[0]["shown"])
        outcomes: dict[str, int] = {}
        for run in runs:
            for name, count in (run.get("outcomes") or {}).items():
                outcomes[name] = outcomes.get(name, 0) + count
        steps = sum(outcomes.values())
        share = study.get("unit") in ("1", "", None)
        rows.append(
            {
                "level": float(level),
                "label": f"{100 * shown:.3g} %" if share else f"{shown:.3g} {study['unit']}",
                "mean": float(np.mean(accuracy)),
                "std": float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else math.nan,
                "worst": min(accuracy),
                "dies": len(accuracy),
                "not_ok": 1 - (outcomes.get("ok", 0) + outcomes.get("extrapolated", 0)) / steps if steps else math.nan,
                "extrapolated": outcomes.get("extrapolated", 0) / steps if steps else math.nan,
                "loss": float(study["baseline"]) - float(np.mean(accuracy)),
            }
        )
    return rows


# --- the summary ------------------------------------------------------------------------------------------------------


def summary(results: dict[str, Any]) -> list[Markup]:
    """Three sentences: the circuit, the surrogate, the training. Each says where its figure misses its bar."""
    return [sentence for sentence in (_circuit(results), _surrogate(results), _network(results)) if sentence]


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
    return text + Markup(", and its last point is {} from A⁻¹b.").format(percent(transient["final_error"]))


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
            "The surrogate explains <b>{}</b> of the variance of SPICE’s error on systems not fitted"
        ).format(plus_minus(value, error, 100, "%"))
        verdict = (
            Markup(" (the bar is {})")
            if value >= EXPLAINED_BAR
            else Markup(', <span class="miss">which misses the bar of {}</span>')
        )
        pieces += verdict.format(percent(EXPLAINED_BAR, 0))
    if new:
        value, error = explained_variance(new)
        lead = ", and" if old else "The surrogate explains"
        pieces += Markup("{} <b>{}</b> on dies that it has not seen").format(lead, plus_minus(value, error, 100, "%"))
    return pieces + "."


def _network(results: dict[str, Any]) -> Markup:
    training, loop = results["training"], results["loop"]
    text = Markup("")
    if training:
        groups = {
            (group.runs[0]["optimizer"], group.runs[0].get("die") is not None): group
            for group in plots.training_groups(training)
        }
        dies, exact = groups.get(("tngd", True)), groups.get(("ngd", False))
        if dies:
            text += Markup("{} reaches <b>{}</b> test accuracy after {} steps").format(dies.label, *_final(dies))
        if dies and exact:
            text += Markup(" against <b>{}</b> for exact NGD").format(_final(exact)[0])
            gap = paired_difference(training, ("tngd", True), ("ngd", False))
            if gap and gap["beyond"]:
                worse = gap["mean"] < 0
                words = Markup('<span class="miss">{}</span>') if worse else Markup("{}")
                text += Markup(", ") + words.format(f"{'worse' if worse else 'better'} by more than chance")
            elif gap and gap["seeds"] > 1:
                text += f", a difference within the scatter of {gap['seeds']} seeds"
    if loop:
        found = facts({**dict.fromkeys(PARTS), "loop": loop})["loop"]
        count = len(loop["systems"])
        text += Markup(
            "{} ngspice and the surrogate of the same die differ by at most <b>{}</b> of the solution on {} systems"
        ).format(
            "; with ngspice in the loop," if text else "With ngspice in the loop,",
            percent(found["difference"], 2),
            count,
        )
        if found["explained"] < EXPLAINED_BAR:
            text += Markup(', <span class="miss">of which the worst is explained to only {}</span>').format(
                percent(found["explained"])
            )
    return text + "." if text else text


def _final(group: plots.Group) -> tuple[str, int]:
    """Final accuracy with its standard deviation over the runs, and the step."""
    return plus_minus(float(group.mean[-1]), float(group.std[-1]), 100, "%"), int(group.steps[-1])


# --- the pictures -----------------------------------------------------------------------------------------------------


def _figures(results: dict[str, Any]) -> dict[str, Markup]:
    """Every picture that the results have data for, as SVG text that is safe to insert: only matplotlib wrote it."""
    figures = {"overview": (plots.overview_figure(results), "The whole chain from curvature matrix to training curves")}
    if matrix := results["matrix"]:
        figures["matrix"] = plots.matrix_plot(matrix), "Heat map and eigenvalues of the curvature matrix"
        figures["cell"] = plots.cell_plot(matrix["program"]["fabric"]), "Schematic of one cell of the circuit"
    if transient := results["transient"]:
        figures["transient"] = (
            plots.transient_plot(transient),
            "ngspice waveforms over the exact law, and their thermal noise",
        )
    if calibration := results["calibration"]:
        figures["calibration"] = plots.calibration_plot(calibration), "Surrogate's error against the error of ngspice"
    if training := results["training"]:
        figures["training"] = plots.training_plot(training), "Test accuracy against steps and against time"
    if loop := results["loop"]:
        figures["loop"] = plots.loop_plot(loop), "Errors of ngspice and surrogate on systems of the run"
    studies = results["studies"] or []
    limits = [value for study in studies for value in plots.accuracy_range(study)]
    for k, study in enumerate(studies):
        figures[f"study{k}"] = plots.study_plot(study, limits), f"Test accuracy against {study['axis']}"
    return {name: Markup(to_svg(figure, name, text)) for name, (figure, text) in figures.items()}
