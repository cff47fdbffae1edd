"""The result of a co-design as the page reads it: the fields of `codesign.json`, checked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, ValidationError

from ...circuits.errors import InputError
from ...circuits.files import first_problem, parse_json, read_text
from ...circuits.records import Record

FORMAT = 1
Number: TypeAlias = float | None
"""None: not known, or not finite."""
Setting: TypeAlias = bool | int | float | str | None
"""Value of a knob; None: the part does not have it."""


class _Part(Record):
    """Fields beyond these are left for others to read."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class ScoreKind(_Part):
    """What the target is about: its name, whether values are fractions shown in percent, and which direction is better."""

    name: str
    percent: bool = False
    more_is_better: bool | None = None


class Baseline(_Part):
    """Exact NGD on the same task: the mean, and a value for each seed."""

    exact_ngd: Number = None
    seeds: tuple[int, ...] = ()
    values: tuple[Number, ...] = ()


class KnobAxis(_Part):
    """A knob of the search and its range."""

    name: str
    title: str
    unit: str = ""
    log: bool = False
    choices: tuple[Setting, ...] = ()
    low: Number = None
    high: Number = None


class YieldFigure(_Part):
    """How many of the dies meet the target, and the 95 % interval of that share."""

    met: int = Field(ge=0)
    dies: int = Field(gt=0)
    low: float
    high: float


class PartCost(_Part):
    """Seconds and joules of one part of the hardware or the host."""

    seconds: Number = None
    joules: Number = None


class Design(_Part):
    """One design point: hardware and protocol, what it reached and what it costs (of the whole training).

    `stopped` says why a design was given up before its whole training; `unsourced` lists prices that nobody measured or published.
    """

    number: int
    point: dict[str, Setting]
    reading: str = ""
    fidelity: Literal["solve", "short", "full"]
    scores: dict[str, Number] = Field(default_factory=dict)
    seconds: Number = None
    joules: Number = None
    area: Number = None
    feasible: bool = False
    front: bool = False
    stopped: str = ""
    curve: tuple[tuple[float, Number], ...] = ()
    die_yield: YieldFigure | None = Field(default=None, alias="yield")
    parts: dict[str, PartCost] = Field(default_factory=dict)
    unsourced: tuple[str, ...] = ()


class SpiceCheck(_Part):
    """Solves repeated in ngspice, relative rms difference and its standard error."""

    solves: int = 0
    difference: Number = None
    std: Number = None


class Confirmation(_Part):
    """The winner, trained on more dies and with more seeds; scores by die, then by seed, in rows or in one.

    Without a winner it is the last design that was tried so, which does not hold.
    """

    dies: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    scores: tuple[Number | tuple[Number, ...], ...] = ()
    mean: Number = None
    std: Number = None
    exact_ngd: tuple[Number, ...] = ()
    spice: SpiceCheck | None = None
    holds: bool = True
    note: str = ""


class MarginFigure(_Part):
    """How far one figure of the winner can get worse; `worst` None: no value was found that misses the target.

    `low` and `high` are the ends of what meets it; `low_misses` and `high_misses` the nearest values beyond that do not.
    """

    knob: str
    value: Setting = None
    worst: Setting = None
    factor: Number = None
    low: Number = None
    high: Number = None
    low_misses: Number = None
    high_misses: Number = None


class Indices(_Part):
    """Sobol indices of one knob with the half widths of their 95 % intervals."""

    first: Number = None
    first_conf: Number = None
    total: Number = None
    total_conf: Number = None


class SensitivityFigure(_Part):
    """Sobol indices of a score by knob."""

    score: str
    note: str = ""
    knobs: dict[str, Indices] = Field(default_factory=dict)


class Reference(_Part):
    """What the winner is compared with: the host alone, a technology as it is, a GPU."""

    name: str
    seconds: Number = None
    joules: Number = None
    area: Number = None
    score: Number = None
    parts: dict[str, PartCost] = Field(default_factory=dict)
    unsourced: tuple[str, ...] = ()
    note: str = ""


class HostFigures(_Part):
    """The digital computer beside the array: operations a second, W while it computes and while it waits."""

    rate: Number = None
    power: Number = None
    idle_power: Number = None


class SearchPoint(_Part):
    """Hypervolume of the front after some seconds of search."""

    seconds_of_search: float
    hypervolume: Number = None


class CodesignFile(_Part):
    """`codesign.json`, as `thermograd codesign` writes it. Seconds and joules are of a whole training by the cost model."""

    format: Literal[1]
    task: str
    target: str
    score: ScoreKind
    baseline: Baseline = Baseline()
    knobs: tuple[KnobAxis, ...]
    designs: tuple[Design, ...]
    winner: int | None = None
    confirmation: Confirmation | None = None
    margins: tuple[MarginFigure, ...] = ()
    margins_by: str = ""
    sensitivity: SensitivityFigure | None = None
    references: tuple[Reference, ...] = ()
    history: tuple[SearchPoint, ...] = ()
    limit: Number = None
    by: str = ""
    card: str = ""
    host: HostFigures | None = None
    steps: int | None = None
    batch: int | None = None
    dies: tuple[int, ...] = ()
    command: str = ""
    seeds: tuple[int, ...] = ()
    version: str = ""
    hours: Number = None
    notes: tuple[str, ...] = ()

    def design(self, number: int | None) -> Design | None:
        """The design of a number; None for None."""
        return next((design for design in self.designs if design.number == number), None)


def read_result(path: Path) -> CodesignFile:
    """Read `codesign.json`.

    Raises:
        InputError: missing, not JSON, of another format, or a field that cannot be; says which and what to do.
    """
    name = f"co-design {str(path)!r}"
    try:
        data = parse_json(read_text(path))
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not valid JSON: {error}; is the file complete?") from None
    return checked(data, name)


def checked(data: Any, name: str = "co-design result") -> CodesignFile:
    """Plain data as `CodesignResult.to_dict()` gives it, checked. Numbers that are not finite become None.

    Raises:
        InputError: as `read_result`; also for a winner that is none of the designs, and a number of a design that stands twice.
    """
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT or isinstance(found, bool):
        raise InputError(
            f"{name} has format {found!r:.40}; this version of thermograd reads {FORMAT}: give the codesign.json that "
            "`thermograd codesign` wrote"
        )
    try:
        result = CodesignFile.model_validate(_finite(data))
    except ValidationError as error:
        raise InputError(f"{name}: {first_problem(error)}; search again, or give the file as it was written") from None
    numbers = [design.number for design in result.designs]
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise InputError(f"{name}: design {twice} stands twice; each needs a number of its own")
    if result.winner is not None and result.winner not in numbers:
        raise InputError(
            f"{name}: winner {result.winner} is none of its {len(numbers)} designs; give one of them, or null"
        )
    return result


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
