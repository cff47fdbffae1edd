"""`StudyPlan`: a study as a file, with its design points, dies, seeds and readings."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, StrictInt, field_validator

from ....circuits.errors import InputError
from ....circuits.files import read_text
from ....circuits.records import Record
from ....circuits.spelling import unknown_name
from ....circuits.technology.presets import PRESETS
from ....devicemodel.card import DeviceCard
from ....devicemodel.shipped_cards import is_shipped
from ..knobs.design_point import DesignPoint
from ..knobs.knob import Knob, Value
from ..knobs.registry import knob_named
from ..studies import READINGS, varied_card
from .sample import Range, latin_hypercube


class Sample(Record):
    """A Latin hypercube over the knobs of [range].

    Raises:
        InputError: a field out of range.
    """

    title_in_errors = "sample"

    number: int = Field(ge=1)
    """Of design points."""
    seed: int = Field(default=0, ge=0)
    """Of the draw."""


class Check(Record):
    """What is repeated in ngspice, on the same die, as the study runs.

    Raises:
        InputError: a field out of range.
    """

    title_in_errors = "check"

    fraction: float = Field(ge=0.0, le=1.0)
    """Of all solves of the dies: those of a solve level's systems, or a training's steps."""


class StudyPlan(Record):
    """A study: design points by dies, seeds and readings, on one task. `docs/study.md` has the file's format.

    The design points are the grid of `knobs`, each with every point of the sample, if there is one, and with the fixed knobs.

    Raises:
        InputError: a field out of range or unknown; a knob that is unknown, given twice or out of range; dies, seeds, readings or levels
            that occur twice; a sample without ranges, or the other way round.
    """

    title_in_errors = "plan"

    task: str
    """A name of `TASKS`, or a Python file of one's own with `task()`; in a file also a table {name = ..., setting = ...}."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the task's function."""
    card: str | None = None
    """Of the device: a file, "shipped:integrated", or a preset's name, the card of its own figures."""
    technology: str | None = None
    """In place of a card: a preset's name or a technology file; the uncalibrated card of its own figures."""
    fabric: str = "auto"
    """Of the card of a technology."""
    level: Literal["solve", "training"] = "training"
    """What is evaluated: the error of single solves of systems that training meets, or whole trainings."""
    steps: StrictInt | tuple[StrictInt, ...] | None = None
    """Updates of a training; of level "solve" the steps whose systems are solved. None: as the task's plan, and the level, have it."""
    batch: StrictInt | None = Field(default=None, ge=1)
    """Samples of a step; None: the task's."""
    dies: tuple[StrictInt, ...] = (1, 2, 3)
    """Their seeds, the same at every point."""
    seeds: tuple[StrictInt, ...] = (0,)
    """Of trainings and noise, each with every die."""
    readings: tuple[str, ...] | None = None
    """"refined", "bare" or both; None: both, and refined alone where a knob says how readings are refined."""
    knobs: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """Of the grid: their values."""
    sample: Sample | None = None
    range: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """Of the sample: low and high of a number, or the words of a choice."""
    fixed: dict[str, Any] = Field(default_factory=dict)
    """Knobs that are turned alike at all points."""
    check: Check | None = None

    @field_validator("dies", "seeds")
    @classmethod
    def _each_once(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if not given or min(given) < 0 or len(set(given)) < len(given):
            raise ValueError("give at least one integer, each once, all >= 0")
        return given

    @field_validator("readings")
    @classmethod
    def _readings_are_known(cls, given: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if given is not None and (not given or not set(given) <= set(READINGS) or len(set(given)) < len(given)):
            raise ValueError(f"give readings, each once, of {', '.join(READINGS)}")
        return given

    @field_validator("steps")
    @classmethod
    def _steps_are_positive(cls, given: Any) -> Any:
        several = given if isinstance(given, tuple) else () if given is None else (given,)
        if isinstance(given, tuple) and (not given or len(set(given)) < len(given)):
            raise ValueError("give at least one step, each once")
        if any(one < (0 if isinstance(given, tuple) else 1) for one in several):
            raise ValueError("give integers >= 1, in a list >= 0")
        return given

    def model_post_init(self, _: Any) -> None:
        """Check what the fields say together, and every value of every knob."""
        if self.card is not None and self.technology is not None:
            raise InputError("plan: a card already holds its technology: leave technology out")
        if self.technology is None and self.fabric != "auto":
            raise InputError("plan: fabric is of the card of a technology: give technology, or leave fabric out")
        if isinstance(self.steps, int) and self.level == "solve":
            raise InputError(
                f'plan: level "solve" takes a list of steps, whose systems are solved: steps = [{self.steps}]'
            )
        if isinstance(self.steps, tuple) and self.level == "training":
            raise InputError('plan: level "training" takes one number of steps: steps = 120')
        if (self.sample is None) != (not self.range):
            raise InputError(
                "plan: [range] needs [sample] with the number of points"
                if self.range
                else 'plan: [sample] needs [range], such as "opamp.gain" = [1e2, 1e5]'
            )
        seen: dict[str, str] = {}
        for table, names in (("knobs", self.knobs), ("range", self.range), ("fixed", self.fixed)):
            for name in names:
                target = knob_named(name).target
                if target in seen:
                    raise InputError(
                        f"plan: {name} is turned twice, in [{seen[target]}] and [{table}]: leave one of them out"
                    )
                seen[target] = table
        for name, values in self.knobs.items():
            levels = [_value(name, value) for value in values]
            if not levels or any(levels.count(level) > 1 for level in levels):
                raise InputError(f"plan: values of {name} are {list(values)}: give at least one, and each once")
        self.ways()

    @property
    def varied(self) -> tuple[Knob, ...]:
        """The knobs of the grid, then those of the sample."""
        return tuple(knob_named(name) for name in (*self.knobs, *self.range))

    @property
    def columns(self) -> tuple[Knob, ...]:
        """All knobs that are turned, the fixed ones last."""
        return (*self.varied, *(knob_named(name) for name in self.fixed))

    def points(self) -> tuple[DesignPoint, ...]:
        """The design points, each once: the grid with its last knob fastest, and each of its points with the sample.

        A sample of whole numbers or words may draw a point twice; it is one.
        """
        grid = itertools.product(
            *([(knob_named(name).target, value) for value in values] for name, values in self.knobs.items())
        )
        ranges = [Range.of(knob_named(name), limits) for name, limits in self.range.items()]
        drawn: Sequence[Mapping[str, Value]] = [{}]
        if self.sample is not None:
            drawn = latin_hypercube(ranges, self.sample.number, self.sample.seed)
        fixed = {name: _value(name, value) for name, value in self.fixed.items()}
        found = [
            DesignPoint({**{name: _value(name, value) for name, value in levels}, **sample, **fixed})
            for levels in grid
            for sample in drawn
        ]
        return tuple(dict.fromkeys(found))

    def ways(self) -> tuple[str, ...]:
        """The readings. InputError for bare ones where a knob says how readings are refined, which those do not heed."""
        refines = next(
            (name for point in self.points() if point.refines for name in point if name.startswith("refined.")), ""
        )
        if self.readings is None:
            return READINGS[:1] if refines else READINGS
        if refines and "bare" in self.readings:
            raise InputError(f'plan: bare readings do not heed {refines}: give readings = ["refined"], or leave it out')
        return self.readings

    def read_card(self, folder: Path = Path()) -> DeviceCard:
        """The card that is varied; of a measured board that of boards like it.

        Args:
            folder: that relative paths are of.

        Raises:
            InputError: as `DeviceCard.read` and `Technology.read`.
        """
        from ....circuits.technology.technology import Technology

        if self.technology is not None:
            named = self.technology in PRESETS
            technology = PRESETS[self.technology] if named else Technology.read(folder / self.technology)
            return DeviceCard.uncalibrated(technology, self.fabric)
        card = self.card or "integrated"
        if card in PRESETS:
            return DeviceCard.uncalibrated(card)
        return varied_card(card if is_shipped(card) else folder / card)


def read_plan(path: str | Path) -> StudyPlan:
    """Read a TOML file. Its paths of card, technology and task become absolute: relative ones are of its folder.

    Raises:
        InputError: no such file, not TOML, a field that is unknown or out of range; as `StudyPlan`.
    """
    path = Path(path)
    try:
        data = tomllib.loads(read_text(path))
    except OSError as error:
        raise InputError(f"plan {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"plan {str(path)!r} is not valid TOML: {error}") from None
    try:
        return plan_of_table(data, path.parent)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None


def plan_of_table(data: Mapping[str, Any], folder: Path) -> StudyPlan:
    """The plan of a file's table; relative paths are of the folder. InputError as `read_plan`."""
    fields = dict(data)
    for name in fields:
        if name not in StudyPlan.model_fields:
            raise InputError(unknown_name("plan: field", name, StudyPlan.model_fields))
    if isinstance(fields.get("task"), Mapping):
        settings = dict(fields["task"])
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise InputError(
                f'plan: task is {dict(fields["task"])}: give its name, as in {{ name = "poisson", interior = 200 }}'
            )
        again = next((key for key in settings if key in fields.get("settings", {})), None)
        if again is not None:
            raise InputError(f"plan: {again} is given twice, in task and in [settings]: leave one of them out")
        fields |= {"task": name, "settings": {**settings, **fields.get("settings", {})}}
    for name in ("knobs", "range", "fixed"):
        if isinstance(fields.get(name), Mapping):
            fields[name] = _flat(fields[name])
    for name in ("knobs", "range"):
        if not isinstance(fields.get(name, {}), Mapping):
            continue
        for knob, values in fields.get(name, {}).items():
            if not isinstance(values, list):
                example = f"{knob} = [{values}]" if name == "knobs" else '"opamp.gain" = [1e2, 1e5]'
                raise InputError(f"plan: [{name}] {knob} is {values!r:.60}: give a list, such as {example}")
    for name in ("card", "technology", "task"):
        given = fields.get(name)
        if not isinstance(given, str) or (name == "task" and not given.endswith(".py")):
            continue
        if given not in PRESETS and not is_shipped(given):
            fields[name] = str((folder / given).resolve())
    return StudyPlan(**fields)


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """TOML reads a bare adc.bits as a table adc with bits in it."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{rest}": one for rest, one in value.items()}
        else:
            found[name] = value
    return found


def _value(name: str, given: Any) -> Value:
    """A knob's value, which may be a word such as "none" or "off"."""
    knob = knob_named(name)
    return knob.parse(given) if isinstance(given, str) else knob.check(given)
