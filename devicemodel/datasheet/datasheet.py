"""`make_datasheet`: figures of a card or a technology over dies, corners and temperatures, as plain data for JSON and pages."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...circuits.errors import InputError
from ...circuits.parallel import parallel_map
from ...circuits.technology.presets import as_technology
from ...circuits.technology.technology import Technology
from ...circuits.version import __version__
from ...compiler.effects import EFFECTS
from ...compiler.fabrics.registry import fabric_named
from ...compiler.limitations import by_statement, not_modelled
from ..card import DeviceCard
from .conditions import DatasheetConditions
from .corners import Corner, card_at
from .figures import FIGURES, Found, Place
from .provenance import Origin, behind, kinds_of, origins_of, unsourced
from .readings import READINGS, Readings, Settled, Task, is_usable, read, settled
from .specification import Specification, Verdict, exact_interval
from .spice_check import Repeated, chosen, repeated, summary
from .workload import Workload, workloads_of

FORMAT = 1
Progress = Callable[[str, int, int], None]


def make_datasheet(
    hardware: DeviceCard | Technology | str,
    conditions: DatasheetConditions | None = None,
    specification: Specification | None = None,
    systems: Sequence[tuple[Any, Any]] = (),
    workers: int | None = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The data sheet of a card or a technology; the same for the same conditions on any number of workers.

    Args:
        hardware: a card, or a technology, or a preset's name, whose own figures are taken as they are stated.
        conditions: see `DatasheetConditions`; None: its defaults.
        specification: demands, each of which gets a verdict.
        systems: (A, b) of one's own, beside the random ones.
        workers: processes; None: one a core.
        progress: called with (stage, done, total).

    Returns:
        Plain data: `made_of`, `conditions`, `workloads`, `places`, `figures` (`Found.to_dict` with what each rests on), `dies` (how
        many can be used), `spice` (None: nothing was repeated there), `origins`, `not_modelled`, `remarks`,
        `specification`, `passed` (None without one).

    Raises:
        SimulatorMissing: readings are to be repeated in ngspice, and there is none.
        InputError: hardware of another kind, conditions that it does not go with, a specification of workloads that are not there.
    """
    conditions = conditions or DatasheetConditions()
    calibrated = isinstance(hardware, DeviceCard) and "calibration" not in hardware.provenance
    if isinstance(hardware, DeviceCard):
        card = hardware
    elif isinstance(hardware, Technology | str):
        card = DeviceCard.uncalibrated(as_technology(hardware))
    else:
        raise InputError(f"hardware is a {type(hardware).__name__}: give a DeviceCard, a Technology or a preset's name")
    corners = conditions.corners_for(card.technology)
    workloads = workloads_of(conditions, card.fabric, systems)
    if specification is not None:
        specification.check([one.name for one in workloads])
    places = tuple(Place(name, celsius) for name in corners for celsius in conditions.temperatures)
    cards = {place: card_at(card, place.corner, corners[place.corner], place.celsius) for place in places}
    tasks = [
        Task(cards[place], corners[place.corner], matrix, b, conditions)
        for one in workloads
        for matrix, b in one.systems
        for place in places
    ]
    needs = _mapped(settled, tasks, workers, progress, "settling")
    lengths = _run_lengths(needs, len(places), conditions)
    readings = _mapped(
        _read,
        [(task, length, need.damping_law) for task, length, need in zip(tasks, lengths, needs, strict=True)],
        workers,
        progress,
        "readings",
    )
    checked = _in_spice(tasks, lengths, readings, conditions, workers, progress)
    origins = origins_of(card, corners, calibrated)
    found, at = [], 0
    for one in workloads:
        count = len(one.systems) * len(places)
        part = slice(at, at + count)
        found += _figures(one, needs[part], readings[part], lengths[part], places, conditions)
        at += count
    figures = [_with_origins(one.to_dict(), origins, card) for one in found]
    judged = [] if specification is None else specification.judge(figures)
    return {
        "format": FORMAT,
        "version": __version__,
        "made_of": _made_of(card, calibrated),
        "conditions": conditions.to_dict() | {"corners": list(corners)},
        "workloads": [one.to_dict() for one in workloads],
        "places": [{"corner": place.corner, "temperature": place.celsius} for place in places],
        "typical_temperature": conditions.typical_temperature,
        "figures": figures,
        "dies": _dies(readings, conditions),
        "spice": checked,
        "origins": [one.to_dict() for one in origins],
        "not_modelled": _not_modelled(card, corners),
        "remarks": _remarks(card, needs, readings, corners),
        "specification": None if specification is None else [one.to_dict() for one in judged],
        "passed": None if specification is None else all(one.verdict is Verdict.PASS for one in judged),
    }


def _read(job: tuple[Task, float, float]) -> list[Readings]:
    return read(*job)


def _in_spice(
    tasks: Sequence[Task],
    lengths: Sequence[float],
    readings: Sequence[list[Readings]],
    conditions: DatasheetConditions,
    workers: int | None,
    progress: Progress | None,
) -> dict[str, Any] | None:
    """What ngspice says of some of the readings; None: it was not asked."""
    if not conditions.spice:
        return None
    errors = np.array([one.values["bare_error"] for dies in readings for one in dies])
    jobs = []
    for number in chosen(errors, conditions.spice):
        task, die = divmod(number, len(conditions.dies))
        jobs.append(Repeated(tasks[task], conditions.dies[die], lengths[task]))
    return summary(_mapped(repeated, jobs, workers, progress, "ngspice"))


def _mapped(
    function: Callable[[Any], Any], jobs: Sequence[Any], workers: int | None, progress: Progress | None, stage: str
) -> list[Any]:
    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(stage, done, total)

    return list(parallel_map(function, jobs, workers, progress=report))


def _run_lengths(needs: Sequence[Settled], places: int, conditions: DatasheetConditions) -> list[float]:
    """Seconds of the runs of each task: as asked for, or what the slowest die of all places takes for the system."""
    found = []
    for k in range(0, len(needs), places):
        seconds = [value for one in needs[k : k + places] for value in one.seconds if math.isfinite(value)]
        found += [conditions.run or max(seconds, default=math.inf)] * places
    return found


def _figures(
    workload: Workload,
    needs: Sequence[Settled],
    readings: Sequence[list[Readings]],
    lengths: Sequence[float],
    places: tuple[Place, ...],
    conditions: DatasheetConditions,
) -> list[Found]:
    """In the order of `FIGURES`, without those that this hardware has no law of."""
    shape, typical = (len(workload.systems), len(places)), _typical(places, conditions)

    def placed(values: Sequence[Sequence[float]]) -> np.ndarray:
        """(places, systems, values of each)"""
        return np.array(values, dtype=float).reshape(*shape, -1).transpose(1, 0, 2)

    values = {name: placed([[one.values[name] for one in dies] for dies in readings]) for name in readings[0][0].values}
    values["settling"] = placed([one.seconds for one in needs])
    values |= {name: placed([[getattr(one, name)] for one in needs]) for name in ("damping_law", "standby", "area")}
    why = {"area": next((one.no_area for one in needs if one.no_area), "")}
    if not np.isfinite(values["damping_law"]).any():
        why["damping_law"] = _no_damping(needs)
    obstacle = next((one.obstacle for one in needs if one.obstacle), "")
    return [
        Found(name, workload.name, values[name], places, typical, conditions.dies, why.get(name, "") or obstacle)
        for name in FIGURES
        if name in values
    ]


def _no_damping(needs: Sequence[Settled]) -> str:
    """Why there is no smallest damping."""
    if any(math.isinf(one.damping_law) for one in needs):
        walls = ", ".join(sorted({one.wall for one in needs if one.wall}))
        return f"at no damping are such systems solved to the target; limited by {walls}"
    return "there is no law of it for this fabric, or for so many unknowns"


def _typical(places: Sequence[Place], conditions: DatasheetConditions) -> int:
    return next(k for k, place in enumerate(places) if place.celsius == conditions.typical_temperature)


def _with_origins(figure: dict[str, Any], origins: Sequence[Origin], card: DeviceCard) -> dict[str, Any]:
    used = behind(origins, FIGURES[figure["figure"]].rests_on)
    return figure | {"rests_on": kinds_of(used), "unsourced": unsourced(used)}


def _made_of(card: DeviceCard, calibrated: bool) -> dict[str, Any]:
    technology = card.technology
    return {
        "kind": "card" if calibrated else "technology",
        "technology": technology.name,
        "source": technology.source,
        "fabric": card.fabric,
        "calibrated": calibrated,
        "summary": [list(row) for row in card.summary()] if calibrated else [],
        "provenance": {name: str(value) for name, value in card.provenance.items()},
    }


def _dies(readings: Sequence[list[Readings]], conditions: DatasheetConditions) -> list[dict[str, Any]]:
    """Of each kind of reading: dies whose every reading may be used, and how readings ended."""
    found = []
    for name in READINGS:
        usable = sum(all(is_usable(dies[k].outcomes[name]) for dies in readings) for k in range(len(conditions.dies)))
        outcomes = Counter(one.outcomes[name] for dies in readings for one in dies)
        found.append(
            {
                "reading": name,
                "usable": usable,
                "dies": len(conditions.dies),
                "interval": exact_interval(usable, len(conditions.dies)),
                "outcomes": dict(outcomes.most_common()),
            }
        )
    return found


def _not_modelled(card: DeviceCard, corners: dict[str, Corner]) -> list[dict[str, Any]]:
    """What the surrogates leave out, what the technology states first."""
    what = {effect.name: effect.consequence for effect in EFFECTS}
    names = not_modelled("SurrogateDevice", fabric_named(card.fabric))
    followed = any(corner.follows_temperature for corner in corners.values())
    found = []
    for name, stated in by_statement(names, card.technology):
        remark = ""
        if followed and name.startswith("temperature of offset, gain"):
            remark = (
                "gain and bandwidth are here, as the corners state them at each temperature; offsets are those of 27 °C"
            )
        found.append({"effect": name, "consequence": what[name], "stated": stated, "remark": remark})
    return found


def _remarks(
    card: DeviceCard, needs: Sequence[Settled], readings: Sequence[list[Readings]], corners: dict[str, Corner]
) -> list[str]:
    found = []
    beyond = Counter(text for dies in readings for one in dies for text in one.violations)
    warm = [text for text in beyond if text.startswith("a die of")]
    others = [text for text in beyond if not text.startswith("a die of")]
    # Of all temperatures the first and the last.
    ends = dict.fromkeys((warm[0], warm[-1])) if warm else ()
    found += [f"outside of what the card was calibrated for: {text}" for text in (*others, *ends)]
    obstacles = dict.fromkeys(one.obstacle for one in needs if one.obstacle)
    found += [f"cannot be built: {text}" for text in obstacles]
    growing = sum(math.isinf(value) for one in needs for value in one.seconds)
    if growing:
        found.append(f"{growing} circuits of a die do not settle")
    return found
