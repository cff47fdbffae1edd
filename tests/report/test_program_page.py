"""The page of one program: everything is on it, nothing is loaded, hostile text stays text."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from thermograd.compiler.analysis.equations import derive_equations
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.layout.tiling import place_on_tiles
from thermograd.report.program_page import write_page

from ..systems import built_for

A = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.2], [0.0, -0.2, 1.5]])


@pytest.mark.parametrize("fabric", ["auto", "crossbar", "lc", "oscillator"])
def test_the_page_shows_the_report_the_parts_and_the_netlist(tmp_path: Path, fabric: str) -> None:
    program = compile_matrix(A, fabric, built_for(fabric, "breadboard"), b=np.ones(3))
    netlist = program.to_spice(np.ones(3))
    write_page(
        program,
        tmp_path / "page.html",
        netlist,
        placement=place_on_tiles(program, 2),
        equations=derive_equations(program),
    )
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert program.fabric_name in page
    assert str(program.report.parts["capacitor"]) in page
    assert next(line for line in netlist.splitlines() if line.startswith("C")) in page
    assert "I_1" in page
    assert "couplings between tiles" in page
    assert page.count("<svg") == 2
    assert "Errors over dies" in page
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert "<script" not in page


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    program = dataclasses.replace(compile_matrix(A), reason="<script>alert(1)</script>")
    write_page(program, tmp_path / "page.html", "* <b>title</b>\n.end\n")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>title" not in page
