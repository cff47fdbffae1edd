import json
from pathlib import Path

import pytest

from thermograd.cli.main import main


def test_table_plot_page_and_json_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--html", str(tmp_path / "size.html"), "--plot", str(tmp_path / "size.svg")]
    options = ["size", "--technology", "breadboard", "--error", "2%", "--largest", "4", "--condition", "5"]
    assert main([*options, *files, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["error"], found["fabric"], found["condition"]) == (0.02, "crossbar_single", 5.0)
    assert [size["unknowns"] for size in found["sizes"]][:1] == [2]
    assert found["answers"]["array"] | {"alone": None} == {"unknowns": 4, "cause": "", "alone": None}
    assert found["no_area"] == "technology breadboard states no areas"
    page = (tmp_path / "size.html").read_text()
    assert "4 or more" in page
    assert "<svg" in page
    assert "states no areas" in page
    assert (tmp_path / "size.svg").read_text().startswith("<?xml")
    assert main(options) == 0
    table = capsys.readouterr()
    assert "nothing up to 4" in table.out
    assert "no areas: technology breadboard states no areas" in table.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--error", "much"], "--error: 'much' is no share"),
        (["--error", "150%"], "not between 0 and 1"),
        (["--fabric", "rc"], "'rc' is no array of amplifiers"),
        (["--technology", "mine"], "neither a preset"),
    ],
)
def test_mistakes_are_named(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size", *options]) == 2
    assert message in capsys.readouterr().err
