"""`--set KEY=VALUE`: values of an experiment's file that are replaced before it is read."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Sequence
from typing import Any

from ...circuits.errors import InputError
from ...circuits.spelling import unknown_name
from ...optim.training.device_choice import DeviceChoice
from ...optim.training.experiment import Experiment, Run

_OPEN = ("settings", "refined")
"""Tables of arguments, whose names are checked by what takes them."""


def overridden(data: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """The table of an experiment's file with some of its values replaced.

    Args:
        data: of the file, in which the runs are the list "run".
        assignments: such as "steps=100", "settings.train=1000", "run.Adam.settings.lr=0.001" or "run.TNGD, die.dies=[1, 2]". A value is
            written as in TOML; what is no TOML is text.

    Raises:
        InputError: no assignment, an unknown key or run; says what there is.
    """
    found = copy.deepcopy(data)
    for text in assignments:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(
                f"--set {text!r} is not KEY=VALUE, such as --set steps=100 or --set run.Adam.settings.lr=0.001"
            )
        table, names, fields, where = found, key.split("."), _fields(Experiment), ""
        if names[0] == "run":
            run, rest = _run_of(found, key)
            table, names, fields, where = run, rest.split("."), _fields(Run), f"run.{run['label']}."
        _assign(table, names, fields, _value(value.strip()), where)
    return found


def _fields(kind: Any) -> list[str]:
    return ["run" if name == "runs" else name for name in kind.model_fields]


def _run_of(data: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """The run that a key names, and the rest of the key. Labels may have dots."""
    after = key.removeprefix("run").removeprefix(".")
    runs = [run for run in data.get("run", []) if isinstance(run, dict) and isinstance(run.get("label"), str)]
    labels = [run["label"] for run in runs]
    if not after:
        raise InputError(
            f"--set {key}: name a run and its field, such as run.{next(iter(labels), 'Adam')}.steps=100; runs: {'; '.join(labels)}"
        )
    fitting = [run for run in runs if after.startswith(run["label"] + ".")]
    if fitting:
        run = max(fitting, key=lambda one: len(one["label"]))
        return run, after[len(run["label"]) + 1 :]
    if after in labels:
        raise InputError(f"--set {key}: what of run {after!r}? Add a field: {', '.join(_fields(Run))}")
    raise InputError(unknown_name(f"--set {key}: run", after.split(".")[0], labels))


def _assign(table: dict[str, Any], names: Sequence[str], fields: Sequence[str], value: Any, where: str) -> None:
    name, *rest = names
    if name not in fields:
        raise InputError(unknown_name(f"--set {where}{name}: field", name, fields))
    if not rest:
        if isinstance(table.get(name), dict) and not isinstance(value, dict):
            raise InputError(
                f"--set {where}{name} is a table: name one of its values, such as {where}{name}.NAME=VALUE"
            )
        table[name] = value
        return
    inner = table.setdefault(name, {})
    if name in ("device", *_OPEN) and not isinstance(inner, dict):
        raise InputError(f"--set {where}{name} is {inner!r}, no table: write {name} = {{ ... }} in the file")
    if name == "device":
        _assign(inner, rest, _fields(DeviceChoice), value, f"{where}device.")
    elif name in _OPEN:
        if len(rest) > 1 and not isinstance(inner.get(rest[0]), dict | None):
            raise InputError(
                f"--set {where}{name}.{rest[0]} is {inner[rest[0]]!r}, no table: leave .{'.'.join(rest[1:])} out"
            )
        for part in rest[:-1]:
            inner = inner.setdefault(part, {})
        inner[rest[-1]] = value
    else:
        raise InputError(f"--set {where}{name} is a value, no table: leave .{'.'.join(rest)} out")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
