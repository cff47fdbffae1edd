"""The steps of an experiment as a table: parquet by pyarrow, which is in the extra `thermograd[study]`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...circuits.errors import InputError
from ...circuits.files import write_file
from .experiment_result import ExperimentResult, RunResult

_OF_STEPS = (
    "loss",
    "processor_seconds",
    "hardware_seconds",
    "hardware_joules",
    "digital_seconds",
    "device_seconds",
    "analog_seconds",
    "outcome",
    "reading",
    "retries",
)
"""Columns that `History` has by the same names; null in the row before the first step."""
COLUMNS = ("run", "seed", "die", "step", "score", *_OF_STEPS)


def require_pyarrow() -> tuple[Any, Any]:
    """pyarrow and its parquet module. InputError where it is not installed."""
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise InputError(f"metrics.parquet needs pyarrow ({error}): pip install 'thermograd[study]'") from None


def write_metrics(result: ExperimentResult, path: str | Path) -> None:
    """Write a row for each step of each training, and one for the score before the first, whole or not at all.

    Columns, null where there is no value:

        run (string), seed, die (int64), step (int64): updates done, from 0
        score (double): where it was evaluated, after that many updates
        loss (double): of the batch, before that update
        processor_seconds, hardware_seconds, hardware_joules, digital_seconds, device_seconds, analog_seconds (double): of that step, as
            in `History`
        outcome, reading (string), retries (int64): as in `History`
        by name, what else the task measures (double): where the score was evaluated

    Raises:
        InputError: pyarrow is not installed.
    """
    arrow, parquet = require_pyarrow()
    names = (*COLUMNS, *result.further)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for run in result.runs:
        _extend(columns, run, result.further)
    whole, text = arrow.int64(), arrow.string()
    types = {"run": text, "outcome": text, "reading": text}
    types |= dict.fromkeys(("seed", "die", "step", "retries"), whole)
    schema = arrow.schema([(name, types.get(name, arrow.float64())) for name in names])
    table = arrow.table(columns, schema=schema)
    write_file(path, lambda temporary: parquet.write_table(table, temporary, compression="zstd"))


def _extend(columns: dict[str, list[Any]], run: RunResult, further: Sequence[str]) -> None:
    history, scores = run.history, dict(run.history.evaluations)
    first = 0 if 0 in scores else 1
    count = history.steps + 1 - first
    columns["run"] += [run.label] * count
    columns["seed"] += [run.seed] * count
    columns["die"] += [run.die] * count
    columns["step"] += range(first, history.steps + 1)
    columns["score"] += [scores.get(step) for step in range(first, history.steps + 1)]
    for name in _OF_STEPS:
        columns[name] += [None] * (1 - first) + getattr(history, name)
    measured = dict(zip(scores, history.metrics, strict=False))
    for name in further:
        columns[name] += [measured.get(step, {}).get(name) for step in range(first, history.steps + 1)]
