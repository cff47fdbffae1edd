"""A training in a Python file of the user's: `train(device, seed)`, or `task()` that returns a Task."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ...circuits.errors import InputError
from ...circuits.files import sha256
from ..tasks.task import Task

_WANTED = "define train(device, seed), which returns a score, or task(), which returns a Task"


def read_training(path: Path) -> Any:
    """What the file defines: its function `train`, or the Task that its function `task` returns. Runs the file.

    As for a script, modules beside the file can be imported.

    Raises:
        InputError: no such file, not Python, an error on running it, neither or both of the two functions.
    """
    if not path.is_file():
        raise InputError(f"file {str(path)!r} does not exist; {_WANTED} in a Python file")
    if path.suffix != ".py":
        raise InputError(f"file {str(path)!r} has the suffix {path.suffix!r}; {_WANTED} in a .py file")
    module = _run(path)
    found = {name: getattr(module, name) for name in ("train", "task") if hasattr(module, name)}
    if len(found) == 2:
        raise InputError(f"{path.name} defines both train and task: leave one of them out")
    if not found:
        own = [
            name
            for name, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__
        ]
        functions = f"the functions {', '.join(own)}" if own else "no function"
        raise InputError(f"{path.name} defines neither train nor task, but {functions}: {_WANTED}")
    if "train" in found:
        if not callable(found["train"]):
            raise InputError(f"train in {path.name} is {found['train']!r}: {_WANTED}")
        return found["train"]
    made = _called(found["task"], path) if callable(found["task"]) else found["task"]
    if not isinstance(made, Task):
        raise InputError(f"task() in {path.name} returned {made!r}: return a Task, such as make_task('digits')")
    return made


def _run(path: Path) -> ModuleType:
    name = path.stem
    if not name.isidentifier() or name in sys.modules:
        name = f"file_{sha256(str(path.resolve()).encode())[:12]}"  # the same in every process, as the digests of its classes
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # for its dataclasses, and to be sent to worker processes by value
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        del sys.modules[name]
        raise InputError(
            f'{path.name} ended by exit({error.code}) when it was read: keep what it runs under if __name__ == "__main__":'
        ) from None
    except Exception as error:  # of whatever kind the user's code raises
        del sys.modules[name]
        raise InputError(f"{path.name} cannot be run: {type(error).__name__}: {error}{_line(error, path)}") from error
    return module


def _called(function: Any, path: Path) -> Any:
    try:
        return function()
    except Exception as error:  # of whatever kind the user's code raises
        raise InputError(f"task() in {path.name} raised {type(error).__name__}: {error}{_line(error, path)}") from error


def _line(error: Exception, path: Path) -> str:
    """The last line of the file that the error came by."""
    if isinstance(error, SyntaxError):
        return ""  # its text has the line
    numbers = []
    place = error.__traceback__
    while place is not None:
        if Path(place.tb_frame.f_code.co_filename) == path.resolve():
            numbers.append(place.tb_lineno)
        place = place.tb_next
    return f" (line {numbers[-1]})" if numbers else ""
