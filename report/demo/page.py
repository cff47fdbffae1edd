"""The report: one self-contained HTML file on a whole run, with every number computed from its results.

`write_report` takes the dictionary that `thermograd demo` also saves as report.json and needs nothing else: no
network, no scripts, no other files. Parts that a run does not have are reported as missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...circuits.files import write_text
from ...compiler.fabrics.registry import fabric_named, fabric_names
from ...compiler.limitations import not_modelled
from ..error_budget import tables_of
from ..figures.calibration import calibration_plot, loop_plot
from ..figures.cell import cell_plot
from ..figures.error_budget import error_budget_plot
from ..figures.error_curves import error_plot
from ..figures.matrix import matrix_plot
from ..figures.overview import overview_figure
from ..figures.settling import refinement_plot, transient_plot
from ..figures.study import score_range, study_plot
from ..figures.style import save, to_svg
from ..figures.training import training_plot
from ..template import page_from
from .statistics import EXPLAINED_BAR, facts
from .summary import summary

PARTS = ("matrix", "transient", "calibration", "refinement", "poisson", "training", "loop", "studies", "causes")


def write_report(results: dict[str, Any], path: Path | str) -> None:
    """Write the report, whole or not at all.

    Args:
        results: what `run_demo` returns: `meta` and any of `PARTS`; a missing, null or empty part is left out.
        path: the HTML file.
    """
    write_text(Path(path), render(results))


def write_overview(results: dict[str, Any], path: Path | str) -> None:
    """Write the report's first picture, the whole chain, as .png, .svg or .pdf."""
    save(overview_figure({**results, **{name: results.get(name) or None for name in PARTS}}), Path(path))


def render(results: dict[str, Any]) -> str:
    """The report as HTML text. See `write_report`."""
    given = {name: results.get(name) or None for name in PARTS}
    if given["training"] and not given["training"]["runs"]:
        given["training"] = None
    if given["poisson"] and not given["poisson"]["runs"]:
        given["poisson"] = None
    if given["calibration"] and not given["calibration"]["comparisons"]:
        given["calibration"] = None
    if given["refinement"] and not any(die["kind"] == "spice" for die in given["refinement"]["dies"]):
        given["refinement"] = None
    if given["loop"] and not given["loop"]["systems"]:
        given["loop"] = None
    return page_from(
        "report.html",
        results=given,
        meta=results.get("meta") or {},
        summary=summary(given),
        facts=facts(given),
        svg=_figures({**results, **given}),
        bar=EXPLAINED_BAR,
        not_modelled=_left_out(given["calibration"]),
        **tables_of(given["causes"]),
    )


def _left_out(calibration: dict[str, Any] | None) -> tuple[str, ...]:
    """Names of the effects that the calibrated surrogate leaves out; none without one, or for a fabric that is not known here."""
    if calibration is None or (fabric := calibration["card"].get("fabric")) not in fabric_names():
        return ()
    return not_modelled("SurrogateDevice", fabric_named(fabric))


def _figures(results: dict[str, Any]) -> dict[str, Markup]:
    """All pictures that the results have data for, as SVG text, which is safe to insert since matplotlib escapes it."""
    figures = {"overview": (overview_figure(results), "The whole chain from curvature matrix to training curves")}
    if matrix := results["matrix"]:
        figures["matrix"] = matrix_plot(matrix), "Heat map and eigenvalues of the curvature matrix"
        figures["cell"] = cell_plot(bool(matrix["passive"])), "Schematic of one cell of the circuit"
    if transient := results["transient"]:
        figures["transient"] = (
            transient_plot(transient),
            "ngspice waveforms over the exact law, and their thermal noise",
        )
    if calibration := results["calibration"]:
        figures["calibration"] = calibration_plot(calibration), "Surrogate's error against the error of ngspice"
    if refinement := results["refinement"]:
        figures["refinement"] = refinement_plot(refinement), "Error of refined readings against rounds, logarithmic"
    if poisson := results["poisson"]:
        figures["poisson"] = error_plot(poisson), "Error of the solution of Poisson's equation against steps"
    if training := results["training"]:
        figures["training"] = training_plot(training), "Test accuracy against steps and against time"
    if loop := results["loop"]:
        figures["loop"] = loop_plot(loop), "Errors of ngspice and surrogate on systems of the run"
    studies = results["studies"] or []
    limits = [value for study in studies for value in score_range(study)]
    for k, study in enumerate(studies):
        figures[f"study{k}"] = (
            study_plot(study, limits, list(study["scores"])[:1]),
            f"Test accuracy against {study['axis']}",
        )
    if causes := results["causes"]:
        title = f"Causes of the error: {causes['unknowns']} unknowns, {len(causes['dies'])} dies"
        figures["causes"] = error_budget_plot(causes, title), "Errors of bare and refined readings by cause"
    return {name: Markup(to_svg(figure, name, text)) for name, (figure, text) in figures.items()}
