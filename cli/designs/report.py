"""The command that makes the page of a co-design: `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...circuits.files import output_path
from ..options import LEARNING, Json, examples
from ..outputs import emit, note, say

app = typer.Typer()


@app.command(
    rich_help_panel=LEARNING,
    epilog=examples(
        "thermograd report out/codesign/codesign.json",
        "thermograd report codesign.json --html chip.html",
    ),
)
def report(
    result: Annotated[
        Path, typer.Argument(help="codesign.json of `thermograd codesign`, or the folder with it.", metavar="FILE|DIR")
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", help="The page: .html. Default: codesign.html beside the result.", metavar="FILE"),
    ] = None,
    json: Json = False,
) -> None:
    """The page of a co-design: front, designs, specification with margins, yield, sensitivities, costs by part, checks.

    One file that opens in a browser without a network. Its answer, in sentences, is printed.
    """
    from ...report.codesign.answer import answer
    from ...report.codesign.page import write_codesign_page
    from ...report.codesign.result_file import read_result

    source = result / "codesign.json" if result.is_dir() else result
    found = read_result(source)
    path = output_path(html or source.with_name("codesign.html"), (".html",), [source])
    assert path is not None
    write_codesign_page(source, path)
    if json:
        emit({"answer": answer(found), "files": [path]})
    else:
        for line in answer(found):
            say(line)
    note(f"wrote {path}")
