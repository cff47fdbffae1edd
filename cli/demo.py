"""The command that runs the whole chain: `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..circuits.files import output_folder
from .options import SETUP, Json, Workers, examples
from .outputs import complain, emit, progress, say, show

app = typer.Typer()


@app.command(
    rich_help_panel=SETUP,
    epilog=examples("thermograd demo", "thermograd demo --out /tmp/demo --open", "thermograd demo --reading bare"),
)
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.", metavar="DIR")] = Path("out/demo"),
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    workers: Workers = 2,
    reading: Annotated[
        str,
        typer.Option(
            "--reading",
            help="Of the dies that train: both compares refined and bare readings; refined; bare.",
            metavar="NAME",
        ),
    ] = "both",
    json: Json = False,
) -> None:
    """Run the whole chain on real data, in about three minutes, and write a report with pictures.

    Exit code 1 when the surrogate explains less than 95 % of the variance of SPICE's error on held-out systems.
    """
    target = output_folder(out)
    from ..report.demo.run import run_demo

    with progress(announce=True) as report:
        results = run_demo(target, report, workers, reading)
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
