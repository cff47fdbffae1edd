"""The command that lists, checks and writes technologies: `technology`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path
from .options import SETUP, Json, examples
from .outputs import emit, note, say, show

if TYPE_CHECKING:
    from ..circuits.technology.technology_record import TechnologyRecord

app = typer.Typer()


@app.command(
    rich_help_panel=SETUP,
    epilog=examples(
        "thermograd technology",
        "thermograd technology integrated --out my.toml",
        "thermograd technology my.toml",
        "thermograd technology gf180mcu --sources",
    ),
)
def technology(
    name: Annotated[
        str | None,
        typer.Argument(help="Preset or file to show; default: list the presets.", metavar="[NAME|FILE]"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write it to this file (.toml or .json), as a starting point.", metavar="FILE"),
    ] = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Where each figure is from, of a preset made from a foundry's models.")
    ] = False,
    json: Json = False,
) -> None:
    """List the technology presets, check a technology file, or write one to start from."""
    from pydantic_core import from_json

    from ..circuits.technology.presets import PRESETS, RECORDS
    from .hardware import read_technology

    if sources:
        if name not in RECORDS or out is not None:
            raise InputError(
                f"--sources is for a preset made from a foundry's models, without --out: {', '.join(RECORDS)}"
            )
        _show_sources(RECORDS[name], json)
        return
    if name is None:
        if out is not None:
            raise InputError(f"--out needs the name of a technology to write: one of {', '.join(PRESETS)}, or a file")
        if json:
            emit({preset.name: from_json(preset.model_dump_json()) for preset in PRESETS.values()})
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
        emit(from_json(chosen.model_dump_json()))
    elif target is None:
        say(chosen.to_toml().rstrip())


def _show_sources(record: TechnologyRecord, json: bool) -> None:
    """Each figure with its source, and the sources' commands."""
    from pydantic_core import from_json

    if json:
        emit(from_json(record.model_dump_json()))
        return
    show(
        f"{record.name}: {record.pdk}, {record.simulator}, by `{record.command}`",
        ("figure", "value", "kind", "source"),
        [(figure, str(value), kind, source) for figure, value, kind, source in record.rows()],
    )
    for name, source in record.sources.items():
        if source.command:
            note(f"{name}: {source.command}")
