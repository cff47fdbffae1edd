"""The command that checks the installation: `doctor`."""

from __future__ import annotations

import typer

from ..circuits.errors import SimulatorMissing
from .options import SETUP, Json, examples
from .outputs import complain, emit, progress, show

app = typer.Typer()


@app.command(rich_help_panel=SETUP, epilog=examples("thermograd doctor", "thermograd doctor --json"))
def doctor(json: Json = False) -> None:
    """Check the installation: packages, ngspice, a voltage divider, thermal noise against kT/C, foundries' models (extra pdk), and the
    cards that come with the package.

    Without libngspice it lists what works all the same. Exit code 2 when libngspice is missing, 1 when another check fails; models that are
    not installed are no failure.
    """
    from .installation import LIBRARY, WITHOUT_NGSPICE, checks

    found = []
    with progress() as report:
        for check in checks():
            found.append(check)
            report("checks", len(found), len(found))
    library = next(c for c in found if c.name == LIBRARY)
    if json:
        listed = [{"name": name, "works": works, "how": how} for name, works, how in WITHOUT_NGSPICE]
        checked = {"ok": all(c.passes for c in found), "checks": [vars(c) | {"status": c.status} for c in found]}
        emit(checked if library.ok else checked | {"without_ngspice": listed})
    else:
        show("", ("check", "", "found"), [(c.name, c.status, c.found) for c in found])
        if not library.ok:
            rows = [(name, "works" if works else "needs ngspice", how) for name, works, how in WITHOUT_NGSPICE]
            show("Without ngspice (docs/cards.md)", ("command or function", "", "how"), rows)
    for check in found:
        if check.ok is False and not check.passes and check.name != LIBRARY:
            complain(f"{check.name}: {check.found}; remedy: {check.remedy}")
    if not library.ok:
        raise SimulatorMissing(library.remedy)
    if not all(c.passes for c in found):
        raise typer.Exit(1)
