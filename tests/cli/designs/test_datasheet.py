"""`thermograd datasheet`: its files, its verdict and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from thermograd.cli.main import main

A = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.2], [0.0, -0.2, 1.5]])
QUICK = ["--temperature", "27", "--dies", "1"]


@pytest.fixture
def system(tmp_path: Path) -> list[str]:
    np.savez(tmp_path / "system.npz", A=A, b=np.array([1.0, -2.0, 0.5]))
    return ["datasheet", "--technology", "ideal", "--systems", str(tmp_path / "system.npz"), *QUICK]


def test_page_data_and_table_say_the_same(
    system: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text('[[limit]]\nfigure = "bare_error"\nmax = 0.02\n\n[[limit]]\nfigure = "area"\nmax = 1e-6\n')
    files = [tmp_path / name for name in ("sheet.html", "sheet.json", "sheet.png")]
    options = ["--specification", str(limits), "--html", str(files[0]), "--out", str(files[1]), "--plot", str(files[2])]
    # An area that nobody states is no pass.
    assert main([*system, *options, "--json"]) == 1
    shown, kept = json.loads(capsys.readouterr().out), json.loads(files[1].read_text())
    assert shown["figures"] == kept["figures"]
    assert [one["verdict"] for one in kept["specification"]] == ["pass", "not known"]
    assert kept["workloads"][0]["name"] == "given systems, 3 unknowns"
    assert "--technology ideal" in kept["command"]
    page = files[0].read_text()
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    for text in (
        "Not modelled",
        "technology ideal states no areas",
        "Specification not met: 1 of 2 limits pass",
        "slew rate",
    ):
        assert text in page
    assert files[2].read_bytes().startswith(b"\x89PNG")


def test_a_specification_that_is_met_ends_with_success(
    system: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits, conditions = tmp_path / "limits.toml", tmp_path / "conditions.toml"
    limits.write_text('[[limit]]\nfigure = "refined_error"\nmax = 1e-3\nworkload = "2 unknowns, condition 5"\n')
    conditions.write_text(
        "unknowns = [2]\ncondition_numbers = [5]\nsystems = 1\nrepeats = 2\n[corners.only]\nresistors = 1\n"
    )
    given = [
        "datasheet",
        "--technology",
        "ideal",
        *QUICK,
        "--conditions",
        str(conditions),
        "--specification",
        str(limits),
    ]
    assert main(given) == 0
    shown = capsys.readouterr()
    assert "specification met: 1 of 1 limits pass" in shown.out
    assert "corner only; ambient 27" in shown.err
    assert "not modelled: " in shown.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--unknowns", "2.5"], "2.5 is no number of unknowns"),
        (["--corner", "ss"], "corner 'ss' is none of technology ideal's"),
        (["--unknowns", "9999"], "unknowns"),
        (["--temperature", "27,27"], "is there twice"),
        (["--html", "sheet.pdf"], ".html"),
        (["--card", "shipped:integrated"], "leave --technology out"),
        (["--conditions", "none.toml"], "cannot be read"),
        (["--specification", "none.toml"], "cannot be read"),
    ],
)
def test_mistakes_are_named(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasheet", "--technology", "ideal", *options]) == 2
    assert message in capsys.readouterr().err
