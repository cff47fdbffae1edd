"""One HTML file for who decides on a chip: works from disk without a network, plots and table of designs are interactive."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...circuits.errors import InputError
from ...circuits.files import write_text
from ..template import page_from
from . import answer, payload
from .references import REFERENCE_HEADS, host_sentence, references
from .result_file import CodesignFile, checked, read_result
from .specification import HEADS, facts, margin_meaning, specification

_SCRIPTS = ("filter.js", "designs.js", "plots.js", "page.js")


def write_codesign_page(result: Mapping[str, Any] | Path, path: Path) -> None:
    """Write the page of a co-design, whole or not at all.

    Args:
        result: `CodesignResult.to_dict()`, or the file `codesign.json` of it.
        path: the page, .html. It holds plotly.js, some 5 MB.

    Raises:
        InputError: plotly is not installed, or the result is not as `codesign.json` is described.
    """
    plotly = plotly_script()
    write_text(path, page_of(read_result(result) if isinstance(result, Path) else checked(dict(result)), plotly))


def page_of(result: CodesignFile, plotly: str) -> str:
    """The page as text.

    Args:
        result: what it shows.
        plotly: the script plotly.js.
    """
    knobs = payload.knob_axes(result)
    data = payload.payload(result)
    winner = result.design(result.winner)
    columns = [column | {"short": column["key"] in payload.MEASURES} for column in data["columns"]]
    return page_from(
        "codesign/page.html",
        title=answer.title(result),
        result=result,
        answer=answer.answer(result),
        winner=winner,
        facts=facts(winner, result) if winner else [],
        heads=HEADS,
        specification=specification(winner, result, knobs) if winner else [],
        margin_meaning=margin_meaning(result),
        columns=columns,
        axes=payload.first_axes(result),
        example=payload.example_filter(result),
        fidelities=list(payload.FIDELITIES.items()),
        unsourced=sorted({name for design in result.designs for name in design.unsourced}),
        sensitivity=answer.sensitivity_sentence(result, knobs),
        curve=data["curve"],
        yields=any(design.die_yield for design in result.designs),
        references=references(result),
        host=host_sentence(result),
        reference_heads=REFERENCE_HEADS,
        spice=answer.spice(result),
        provenance=answer.provenance(result),
        style=Markup(_part("style.css")),
        data=Markup(script_data(data)),
        scripts=[Markup(plotly), *(Markup(_part(name)) for name in _SCRIPTS)],
    )


def script_data(data: Any) -> str:
    """Plain data as JSON that can stand in a `<script>`: no text in it ends the element or begins another."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def plotly_script() -> str:
    """The script plotly.js, of the package plotly.

    Raises:
        InputError: it is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise InputError(f"the page of a co-design needs plotly ({error}): pip install 'thermograd[study]'") from None
    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _part(name: str) -> str:
    return importlib.resources.files("thermograd.report").joinpath("templates", "codesign", name).read_text("utf-8")
