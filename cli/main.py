"""The `thermograd` command: every part of the chain from a matrix to a trained network, from a shell.

Results go to stdout (with `--json` as one document); remarks, progress and errors go to stderr. Exit codes: 0 done,
1 the result says no, 2 bad input or no simulator, 130 interrupted. What is heavy (torch, scipy, matplotlib) is imported
inside the commands that need it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..circuits.errors import InputError, SimulatorMissing, ThermogradError
from ..circuits.files import output_folder, output_path
from . import characterise as cli_amplifier
from . import compile as cli_compile
from . import cost as cli_cost
from . import landscape as cli_landscape
from . import simulate as cli_circuits
from . import train as cli_learning
from .options import SETUP, Json, Workers, examples
from .outputs import complain, emit, note, progress, say, show

# typer brought its own copy of click along at some version; its parent class is the same in either.
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="thermograd",
    help="Analog circuits that compute natural-gradient steps: matrix to netlist, ngspice with thermal noise, "
    "calibrated surrogate, training.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_compile.app)
app.add_typer(cli_amplifier.app)
app.add_typer(cli_circuits.app)
app.add_typer(cli_learning.app)
app.add_typer(cli_landscape.app)
app.add_typer(cli_cost.app)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

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


@app.command(rich_help_panel=SETUP, epilog=examples("thermograd doctor", "thermograd doctor --json"))
def doctor(json: Json = False) -> None:
    """Check the installation: packages, ngspice, a circuit by hand, thermal noise against kT/C.

    Exit code 2 when libngspice is absent, 1 when another check fails.
    """
    from .doctor import LIBRARY, checks

    found = []
    with progress() as report:
        for check in checks():
            found.append(check)
            report("checks", len(found), len(found))
    if json:
        emit({"ok": all(c.ok for c in found), "checks": [vars(c) | {"status": c.status} for c in found]})
    else:
        show("", ("check", "", "found"), [(c.name, c.status, c.found) for c in found])
    for check in found:
        if check.ok is False and check.name != LIBRARY:
            complain(f"{check.name}: {check.found}; remedy: {check.remedy}")
    library = next(c for c in found if c.name == LIBRARY)
    if not library.ok:
        raise SimulatorMissing(library.remedy)
    if not all(c.ok for c in found):
        raise typer.Exit(1)


@app.command(
    rich_help_panel=SETUP,
    epilog=examples(
        "thermograd technology", "thermograd technology integrated --out my.toml", "thermograd technology my.toml"
    ),
)
def technology(
    name: Annotated[
        str | None,
        typer.Argument(help="Preset or file to show; without it the presets are listed.", metavar="[NAME|FILE]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it here (.toml or .json), as a starting point.", metavar="FILE")
    ] = None,
    json: Json = False,
) -> None:
    """List the technology presets, check a technology file, or write one to start from."""
    from ..circuits.technology.presets import PRESETS
    from .inputs import read_technology

    if name is None:
        if out is not None:
            raise InputError(f"--out needs the name of a technology to write: one of {', '.join(PRESETS)}, or a file")
        if json:
            emit({preset.name: preset.model_dump(mode="json") for preset in PRESETS.values()})
            return
        show("", ("preset", "source"), [(preset.name, preset.source) for preset in PRESETS.values()])
        note("`thermograd technology NAME --out my.toml` writes one to start from")
        return
    chosen = read_technology(name)
    target = output_path(out, (".toml", ".json"), inputs=[Path(name)])
    if target is not None:
        chosen.write(target)
        note(f"wrote {target}")
    if json:
        emit(chosen.model_dump(mode="json"))
    elif target is None:
        say(chosen.to_toml().rstrip())


@app.command(rich_help_panel=SETUP, epilog=examples("thermograd demo", "thermograd demo --out /tmp/demo --open"))
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.", metavar="DIR")] = Path("out/demo"),
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    workers: Workers = 2,
    json: Json = False,
) -> None:
    """Run the whole chain on real data, in about five minutes, and write a report with pictures.

    Exit code 1 when the surrogate explains less than 95 % of SPICE's error on held-out systems.
    """
    target = output_folder(out)
    from ..report.demo import run_demo

    with progress(announce=True) as report:
        results = run_demo(target, report, workers)
    page, table = target / "report.html", results["training"]["table"]
    reached = results["calibration"]["card"]["held_out"]["explained_variance"]
    seconds = results["meta"]["total_seconds"]
    if json:
        emit(
            {
                "report": page,
                "data": target / "report.json",
                "seconds": seconds,
                "explained_variance": reached,
                "training": table,
            }
        )
    else:
        rows = [
            (row["label"], row["runs"], f"{100 * row['accuracy_mean']:.2f} +- {100 * row['accuracy_std']:.2f}")
            for row in table
        ]
        show("Digits, test accuracy in %", ("optimizer", "runs", "accuracy"), rows)
        say(
            f"{page} written in {seconds:.0f} s; "
            f"the surrogate explains {100 * reached:.1f} % of SPICE's error on held-out systems"
        )
    if open_report:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
    if not reached >= 0.95:
        complain(f"the surrogate explains {reached:.4f} of SPICE's variance on held-out systems; 0.95 is required")
        raise typer.Exit(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: without the program's name; default those of the process.

    With THERMOGRAD_DEBUG=1 in the environment errors are raised instead of told in a line.
    """
    debug = os.environ.get("THERMOGRAD_DEBUG", "") not in ("", "0")
    try:
        code = app(None if arguments is None else list(arguments), prog_name="thermograd", standalone_mode=False)
        sys.stdout.flush()
        code = code if isinstance(code, int) else 0
        if code == 130:  # typer's word for Ctrl-C
            note("interrupted")
        return code
    except (KeyboardInterrupt, typer.Abort):
        note("interrupted")
        return 130
    except SystemExit as ended:
        # typer and rich end a broken pipe with 1; but a reader that left (`| head`) is no verdict on the result.
        if isinstance(ended.__context__, BrokenPipeError):
            return 141
        raise
    except BrokenPipeError:
        # The reader (`| head`) has left; nothing more can be said to it, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except USAGE_ERROR as error:
        complain(f"{error.format_message()} (`{_command(error)} --help` shows the options)")
        return 2
    except Exception as error:
        if debug:
            raise
        complain(_explain(error))
        return 2 if isinstance(error, InputError | SimulatorMissing | OSError) else 1


def _command(error: Any) -> str:
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
    return (
        f"unexpected {kind}: {error}; this is a fault of thermograd, THERMOGRAD_DEBUG=1 shows where: please report it"
    )
