"""What the page's script draws: designs with numbers and their text, references, yield, sensitivity and the search."""

from __future__ import annotations

from typing import Any

from ...circuits.errors import InputError
from ...optim.codesign.knobs.registry import knob_named
from . import units
from .result_file import CodesignFile, Design, KnobAxis, PartCost, Reference
from .specification import facts, heeded, specification, unsourced_of
from .yield_curve import threshold, yield_curve

MEASURES = ("score", "energy", "time", "area", "yield")
"""Columns that are no knobs."""
FIDELITIES = {"solve": "error of a solve", "short": "short training", "full": "whole training"}


def payload(result: CodesignFile) -> dict[str, Any]:
    """Plain data, finite numbers only, all text ready: the script formats nothing that Python has not."""
    knobs = knob_axes(result)
    turned = {name for design in result.designs for name in design.point}
    return {
        "score": {
            "name": result.score.name,
            "percent": result.score.percent,
            "less": result.score.more_is_better is False,
        },
        "exact": result.baseline.exact_ngd,
        "threshold": threshold(result),
        "winner": result.winner,
        "columns": _columns(result, {name: knob for name, knob in knobs.items() if name in turned}),
        "designs": [_design(design, result, knobs) for design in result.designs],
        "references": [_reference(reference, result) for reference in result.references],
        "sensitivity": sensitivity(result, knobs),
        "curve": yield_curve(result),
        "history": [[point.seconds_of_search, point.hypervolume] for point in result.history],
    }


def knob_axes(result: CodesignFile) -> dict[str, KnobAxis]:
    """The knobs by name: those of the search, then those that only points, margins or sensitivities have."""
    found = {knob.name: knob for knob in result.knobs}
    others = [name for design in result.designs for name in design.point]
    others += [margin.knob for margin in result.margins]
    others += list(result.sensitivity.knobs) if result.sensitivity is not None else []
    return found | {name: _known(name) for name in dict.fromkeys(others) if name not in found}


def _known(name: str) -> KnobAxis:
    """A knob that follows from others, with the registry's title and unit; by its name alone where the registry has none."""
    try:
        knob = knob_named(name)
    except InputError:
        return KnobAxis(name=name, title=name)
    return KnobAxis(name=name, title=knob.title, unit=knob.unit, log=knob.log)


def first_axes(result: CodesignFile) -> tuple[str, str]:
    """Columns of the first plot, across and up: time and energy, else what most designs have."""
    known = {
        "time": sum(design.seconds is not None for design in result.designs),
        "energy": sum(design.joules is not None for design in result.designs),
        "area": sum(design.area is not None for design in result.designs),
    }
    costs = sorted((name for name, count in known.items() if count), key=list(known).index)
    return (costs[0], costs[1]) if len(costs) > 1 else (costs[0] if costs else "yield", "score")


def example_filter(result: CodesignFile) -> str:
    """A filter as one would write it for these designs."""
    knob = next((knob for knob in result.knobs if not knob.choices and knob.high is not None), None)
    first = "" if knob is None else f"{knob.name} <= {units.setting(knob.high, knob.unit)}, "
    best = min((design.joules for design in result.designs if design.joules), default=1e-3)
    return f"{first}energy < {units.joules(float(f'{2 * best:.1g}'))}"


def score_of(design: Design, result: CodesignFile) -> float | None:
    """The score that the target is about; None where a cheaper fidelity did not measure it."""
    return design.scores.get(result.score.name)


def sensitivity(result: CodesignFile, knobs: dict[str, KnobAxis]) -> dict[str, Any] | None:
    """Sobol indices, the largest total first."""
    if result.sensitivity is None or not result.sensitivity.knobs:
        return None
    order = sorted(result.sensitivity.knobs.items(), key=lambda item: (-(item[1].total or 0.0), item[0]))
    return {
        "score": result.sensitivity.score,
        "titles": [knobs[name].title if name in knobs else name for name, _ in order],
        "names": [name for name, _ in order],
        **{
            key: [getattr(indices, key) for _, indices in order]
            for key in ("first", "first_conf", "total", "total_conf")
        },
    }


def _columns(result: CodesignFile, knobs: dict[str, KnobAxis]) -> list[dict[str, Any]]:
    """Quantities that can be an axis, a column of the table and a name in a filter."""
    found = [
        {"key": "score", "title": result.score.name, "unit": "", "percent": result.score.percent, "log": False},
        {"key": "energy", "title": "energy of the training", "unit": "J", "log": True},
        {"key": "time", "title": "time of the training", "unit": "s", "log": True},
        {"key": "area", "title": "area", "unit": "mm²", "log": True},
        {"key": "yield", "title": "yield", "unit": "", "percent": True, "log": False},
    ]
    for knob in knobs.values():
        words = [units.setting(value, knob.unit) for value in knob.choices]
        texts = any(isinstance(design.point.get(knob.name), str | bool) for design in result.designs)
        found.append(
            {
                "key": knob.name,
                "title": knob.title,
                "unit": "" if knob.unit == "1" else knob.unit,
                "percent": knob.unit == "1",
                "log": knob.log,
                "words": words if texts else None,
            }
        )
    return found


def _design(design: Design, result: CodesignFile, knobs: dict[str, KnobAxis]) -> dict[str, Any]:
    reached, share = score_of(design, result), design.die_yield
    note, of_area = (" †" if unsourced_of(design.unsourced, area) else "" for area in (False, True))
    values: dict[str, Any] = {
        "score": reached,
        "energy": design.joules,
        "time": design.seconds,
        "area": _square_millimetres(design.area),
        "yield": share.met / share.dies if share is not None else None,
    }
    texts = {
        "score": units.score(reached, result.score.percent),
        "energy": units.joules(design.joules) + note,
        "time": units.seconds(design.seconds) + note,
        "area": units.area(design.area) + of_area,
        "yield": f"{share.met} of {share.dies}" if share is not None else units.NONE,
    }
    point = heeded(design)
    for name, knob in knobs.items():
        value = point.get(name)
        values[name] = units.setting(value, knob.unit) if isinstance(value, bool) else value
        texts[name] = units.setting(value, knob.unit) if name in point else units.NONE
    return {
        "number": design.number,
        "values": values,
        "texts": texts,
        "feasible": design.feasible,
        "front": design.front,
        "fidelity": design.fidelity,
        "level": FIDELITIES[design.fidelity],
        "stopped": bool(design.stopped),
        "curve": [[step, loss] for step, loss in design.curve if loss is not None],
        "bounds": [share.low, share.high] if share is not None else None,
        "specification": specification(design, result, knobs),
        "facts": facts(design, result),
        "parts": _parts(design.parts),
    }


def _reference(reference: Reference, result: CodesignFile) -> dict[str, Any]:
    return {
        "name": reference.name,
        "values": {
            "score": reference.score,
            "energy": reference.joules,
            "time": reference.seconds,
            "area": _square_millimetres(reference.area),
        },
        "texts": {
            "score": units.score(reference.score, result.score.percent),
            "energy": units.joules(reference.joules),
            "time": units.seconds(reference.seconds),
            "area": units.area(reference.area),
        },
        "parts": _parts(reference.parts),
    }


def _square_millimetres(area: float | None) -> float | None:
    """Of m²: prefixes of m² would mean something else."""
    return None if area is None else 1e6 * area


def _parts(parts: dict[str, PartCost]) -> dict[str, Any]:
    return {
        name: {
            "time": part.seconds,
            "energy": part.joules,
            "texts": {"time": units.seconds(part.seconds), "energy": units.joules(part.joules)},
        }
        for name, part in parts.items()
    }
