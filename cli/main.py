"""The `thermograd` command: every step from a matrix to a trained network, from a shell.

Results go to stdout (with `--json` as one document); remarks, progress and errors go to stderr. Exit codes: 0 success,
1 negative result, 2 bad input, no simulator or no scheduler, 130 interrupted. Heavy packages (torch, scipy, matplotlib) are imported
inside the commands that need them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..circuits.errors import InputError, SchedulerMissing, SimulatorMissing, ThermogradError
from . import (
    calibrate,
    characterise,
    compile,
    cost,
    demo,
    doctor,
    error_budget,
    landscape,
    simulate,
    study,
    technology,
    train,
)
from .designs import codesign, datasheet, hand_over, report, size
from .laboratory import lab
from .outputs import complain, note, say

COMMANDS = (
    compile,
    hand_over,
    simulate,
    characterise,
    calibrate,
    lab,
    train,
    study,
    codesign,
    report,
    landscape,
    error_budget,
    size,
    datasheet,
    cost,
    doctor,
    technology,
    demo,
)
"""A module for each command, in the order of the help."""
# Newer versions of typer vendor click; BadParameter has the same base class with either.
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="thermograd",
    help="Analog circuits that compute natural-gradient steps: matrix to netlist, ngspice with thermal noise, "
    "calibrated surrogate, training.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in COMMANDS:
    app.add_typer(_command.app)


def _version(wanted: bool) -> None:
    if wanted:
        from ..circuits.version import __version__

        say(f"thermograd {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        context.get_help()  # typer prints rich help as it makes it
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: without the program's name; default those of the process.

    With THERMOGRAD_DEBUG=1 in the environment, errors are raised with their traceback instead of printed in one line.
    """
    debug = os.environ.get("THERMOGRAD_DEBUG", "") not in ("", "0")
    try:
        code = app(None if arguments is None else list(arguments), prog_name="thermograd", standalone_mode=False)
        sys.stdout.flush()
        code = code if isinstance(code, int) else 0
        if code == 130:  # typer's exit code for Ctrl-C
            note("interrupted")
        return code
    except (KeyboardInterrupt, typer.Abort):
        note("interrupted")
        return 130
    except SystemExit as ended:
        # typer and rich exit with 1 when a reader (`| head`) closes the pipe, which is not a negative result.
        if isinstance(ended.__context__, BrokenPipeError):
            return 141
        raise
    except BrokenPipeError:
        # The reader (`| head`) has closed the pipe; without this, flushing at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except USAGE_ERROR as error:
        complain(f"{error.format_message()} (`{_usage_of(error)} --help` shows the options)")
        return 2
    except Exception as error:
        if debug:
            raise
        complain(_explain(error))
        return 2 if isinstance(error, InputError | SimulatorMissing | SchedulerMissing | OSError) else 1


def _usage_of(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "thermograd"


def _explain(error: Exception) -> str:
    if isinstance(error, ThermogradError):
        return str(error)
    if isinstance(error, OSError):
        place = error.filename or "file system"
        return f"{place}: {error.strerror or error}; check the path, its permissions and the free space"
    if isinstance(error, MemoryError):
        return "out of memory; use a smaller matrix or fewer --workers"
    kind = type(error).__name__
    return f"unexpected {kind}: {error}; this is a bug in thermograd, THERMOGRAD_DEBUG=1 shows where: please report it"
