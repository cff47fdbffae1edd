"""The command that checks the installation: `doctor`."""

from __future__ import annotations

import typer

from ..circuits.errors import SimulatorMissing
from .options import SETUP, Json, examples
from .outputs import complain, emit, progress, show

app = typer.Typer()


@app.command(rich_help_panel=SETUP, epilog=examples("thermograd doctor", "thermograd doctor --json"))
def doctor(json: Json = False) -> None:
    """Check the installation: packages, ngspice, a voltage divider, thermal noise against kT/C, and foundries' models (extra pdk).

    Exit code 2 when libngspice is missing, 1 when another check fails; models that are not installed are no failure.
    """
    from .installation import LIBRARY, checks

    found = []
    with progress() as report:
        for check in checks():
            found.append(check)
            report("checks", len(found), len(found))
    if json:
        emit({"ok": all(c.passes for c in found), "checks": [vars(c) | {"status": c.status} for c in found]})
    else:
        show("", ("check", "", "found"), [(c.name, c.status, c.found) for c in found])
    for check in found:
        if check.ok is False and not check.passes and check.name != LIBRARY:
            complain(f"{check.name}: {check.found}; remedy: {check.remedy}")
    library = next(c for c in found if c.name == LIBRARY)
    if not library.ok:
        raise SimulatorMissing(library.remedy)
    if not all(c.passes for c in found):
        raise typer.Exit(1)
