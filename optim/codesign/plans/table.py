"""The table of a study: one row a run, as a parquet file that is whole at any time.

Parquet by pyarrow, frames by pandas; both are in the extra `thermograd[study]` and imported where they are used.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....circuits.errors import InputError
from ....circuits.files import write_file
from ....circuits.version import __version__
from ..knobs.knob import Knob
from .runs import EXACT, Prepared

if TYPE_CHECKING:
    import pandas

FORMAT = "1"
SOLVE_ERROR = "solve error"
_SPICE = ("solves", "difference", "std", "uncompared")
_IN_FRONT = ("run", "task", "level", "technology", "device", "die", "seed", "reading")
_MEASURED = ("gradient", "seconds", "joules", "area")
_ORIGIN = ("version", "source", "code", "card")
_TYPES = {"number": "double", "whole": "int64", "switch": "bool"}


def require_pandas() -> Any:
    """pandas. InputError where it, or pyarrow, is not installed."""
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pandas")
    except ImportError as error:
        raise InputError(
            f"a study's table needs pandas and pyarrow ({error}): pip install 'thermograd[study]'"
        ) from None


def column_of(score: str) -> str:
    """The column of a score: its name with "_" for what is no letter or digit, such as test_accuracy."""
    words = "".join(letter if letter.isalnum() else " " for letter in score).split()
    return "_".join(words)


def main_score(prepared: Prepared) -> dict[str, Any]:
    """Name, column, percent and more_is_better of what a study is about: the task's score, or the error of solves."""
    if prepared.plan.level == "solve":
        return {"name": SOLVE_ERROR, "column": column_of(SOLVE_ERROR), "percent": False, "more_is_better": False}
    score = prepared.score
    return {
        "name": score.name,
        "column": column_of(score.name),
        "percent": score.percent,
        "more_is_better": score.more_is_better,
    }


def arrow_table(prepared: Prepared, results: Mapping[str, Mapping[str, Any]]) -> Any:
    """The finished runs as a pyarrow table, in the plan's order.

    Columns, null where there is no value (of exact NGD: no die, no reading, no knob but the optimizer's that all points have alike):

        run, task, level, technology, device ("die" or "exact NGD"), die, seed, reading
        every knob of the plan, by its own name
        every score by `column_of`: nan says that the run diverged
        gradient: steps that took the gradient; seconds, joules of a step, area (m^2): modelled, nan without a model
        outcome.*: number of solves or steps by how the device's run ended
        spice.*: solves repeated in ngspice, their rms relative difference, its standard error, and solves that could not be compared
        version of thermograd, source: digest of its files; code: digest of task and level; card: checksum of the card

    Args:
        prepared: the plan. results: of the finished runs by key, as `SentLevel.evaluate` returns them.

    Raises:
        InputError: pyarrow is missing, or a score has the name of another column.
    """
    require_pandas()
    arrow = importlib.import_module("pyarrow")
    runs = [run for run in prepared.runs if run.key in results]
    found = [results[run.key]["evaluation"] for run in runs]
    knobs = {knob.target: knob for knob in prepared.plan.columns}
    scores = {column_of(name): name for one in found for name in one["scores"]}
    outcomes = sorted({name for one in found for name in one["outcomes"]})
    taken = {*_IN_FRONT, *knobs, *_MEASURED, *_ORIGIN}
    for column, name in scores.items():
        if column in taken:
            raise InputError(f"the task's score {name!r} has the name of a column of the table: give it another one")
    plan, score = prepared.plan, main_score(prepared)
    task = Path(plan.task).name if plan.task.endswith(".py") else plan.task
    columns: dict[str, tuple[str, list[Any]]] = {
        "run": ("string", [run.key for run in runs]),
        "task": ("string", [task for _ in runs]),
        "level": ("string", [plan.level for _ in runs]),
        "technology": ("string", [prepared.technology if run.device != EXACT else None for run in runs]),
        "device": ("string", [run.device for run in runs]),
        "die": ("int64", [run.die for run in runs]),
        "seed": ("int64", [run.seed for run in runs]),
        "reading": ("string", [run.reading or None for run in runs]),
    }
    for name, knob in knobs.items():
        columns[name] = (_type(knob), [_plain(knob, run.point.get(name)) for run in runs])
    for column, name in scores.items():
        columns[column] = ("double", [one["scores"].get(name) for one in found])
    for name in _MEASURED:
        columns[name] = ("int64" if name == "gradient" else "double", [one[name] for one in found])
    for name in outcomes:
        columns[f"outcome.{name}"] = ("int64", [one["outcomes"].get(name, 0) for one in found])
    for name in _SPICE:
        kind = "int64" if name in ("solves", "uncompared") else "double"
        empty = 0 if kind == "int64" else None
        values = [one["spice"].get(name, empty) for one in found]
        columns[f"spice.{name}"] = (kind, [int(one) if kind == "int64" else one for one in values])
    columns["version"] = ("string", [__version__ for _ in runs])
    columns["source"] = ("string", [results[run.key]["source"] for run in runs])
    columns["code"] = ("string", [prepared.sent.digest[:24] for _ in runs])
    columns["card"] = ("string", [prepared.card if run.device != EXACT else None for run in runs])
    schema = arrow.schema([(name, _arrow_type(arrow, kind)) for name, (kind, _) in columns.items()])
    table = arrow.table({name: values for name, (_, values) in columns.items()}, schema=schema)
    about = {
        "thermograd": FORMAT,
        "score": json.dumps(score),
        "knobs": json.dumps([knob.target for knob in plan.varied]),
        "plan": plan.model_dump_json(),
    }
    return table.replace_schema_metadata(about)


def curves_table(prepared: Prepared, results: Mapping[str, Mapping[str, Any]]) -> Any:
    """Training curves as a pyarrow table with the columns run, step and loss, of which each run has some 60 rows at most."""
    require_pandas()
    arrow = importlib.import_module("pyarrow")
    rows = [
        (run.key, step, loss)
        for run in prepared.runs
        if run.key in results
        for step, loss in results[run.key]["evaluation"]["curve"]
    ]
    schema = arrow.schema([("run", arrow.string()), ("step", arrow.int64()), ("loss", arrow.float64())])
    columns = {name: [row[k] for row in rows] for k, name in enumerate(("run", "step", "loss"))}
    return arrow.table(columns, schema=schema)


def write_table(path: Path, table: Any) -> None:
    """Write a pyarrow table, whole or not at all."""
    parquet = importlib.import_module("pyarrow.parquet")
    write_file(path, lambda temporary: parquet.write_table(table, temporary, compression="zstd"))


def as_frame(table: Any) -> pandas.DataFrame:
    """A pyarrow table for pandas: whole numbers and truth values that may be null as Int64 and boolean, text as string.

    `attrs` has "score" (name, column, percent, more_is_better), "knobs" (those that vary) and "plan".
    """
    package = require_pandas()
    kinds = {"int64": package.Int64Dtype(), "bool": package.BooleanDtype(), "string": package.StringDtype()}
    frame: pandas.DataFrame = table.to_pandas(types_mapper=lambda kind: kinds.get(str(kind)))
    about = {key.decode(): text.decode() for key, text in (table.schema.metadata or {}).items()}
    frame.attrs = {key: json.loads(about[key]) for key in ("score", "knobs", "plan") if key in about}
    return frame


def read_table(path: str | Path) -> pandas.DataFrame:
    """The table of a study: `table.parquet`, or the folder that it is in; also while the study runs.

    Raises:
        InputError: no such file, not a table of a study, of another version, or pandas or pyarrow is missing.
    """
    require_pandas()
    arrow = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    path = Path(path)
    path = path / "table.parquet" if path.is_dir() else path
    try:
        table = parquet.read_table(path, partitioning=None)
    except FileNotFoundError:
        raise InputError(
            f"table {str(path)!r} does not exist; `thermograd study PLAN.toml --out DIR` writes it"
        ) from None
    except (arrow.ArrowException, OSError) as error:
        raise InputError(f"table {str(path)!r} is not a whole parquet file: {error}; run the study again") from None
    found = (table.schema.metadata or {}).get(b"thermograd")
    if found != FORMAT.encode():
        what = "no table of a study" if found is None else f"a table of format {found.decode(errors='replace')}"
        raise InputError(
            f"{str(path)!r} is {what}; this version of thermograd reads format {FORMAT}, which `thermograd study PLAN.toml` writes"
        )
    return as_frame(table)


def _type(knob: Knob) -> str:
    if knob.allowed.kind == "choice":
        return "int64" if all(isinstance(one, int) for one in knob.allowed.choices) else "string"
    return _TYPES[knob.allowed.kind]


def _plain(knob: Knob, value: Any) -> Any:
    """As the column's type has it."""
    if value is None:
        return None
    kind = _type(knob)
    if kind == "string":
        return str(value)
    return float(value) if kind == "double" else value


def _arrow_type(arrow: Any, kind: str) -> Any:
    return {"double": arrow.float64(), "int64": arrow.int64(), "bool": arrow.bool_(), "string": arrow.string()}[kind]
