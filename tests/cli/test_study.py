"""`thermograd study`: results, pictures and resuming."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thermograd.optim.codesign.knobs import ALIASES

from .command_line import Run, assert_rejected, card, words


def test_help_names_what_there_is(run: Run) -> None:
    """The help text is static, so that it is fast; it must not lag behind the code."""
    assert set(ALIASES) <= words(run("study", "--help")[1])


@pytest.mark.slow
def test_study_writes_its_results_and_resumes(run: Run) -> None:
    card().write("card.json")
    arguments = [
        "study",
        "adc",
        "--card",
        "card.json",
        "--levels",
        "2,10",
        "--dies",
        "1,2",
        "--steps",
        "4",
        "--workers",
        "1",
        *("--batch", "2", "--within", "1", "--out", "s", "--json"),
    ]
    code, out, error = run(*arguments)
    assert code == 0, error
    data = json.loads(out)
    assert [(run["reading"], run["level"]) for run in data["runs"]] == [
        (reading, level) for reading in ("refined", "bare") for level in (2, 2, 10, 10)
    ]
    assert data["scores"]["test accuracy"]["percent"] is True
    assert json.loads(Path("s/adc.json").read_text(encoding="utf-8"))["runs"] == data["runs"]
    assert Path("s/adc.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(run(*arguments)[1]) == data
    assert run("study", "adc", "--card", "card.json", "--technology", "paper")[0] == 2


def test_the_list_of_knobs(run: Run) -> None:
    code, out, _ = run("study", "--list")
    assert code == 0
    assert "adc.noise" in out
    assert "a whole number from 1 to 24, or none" in out
    rows = {row["name"]: row for row in json.loads(run("study", "--list", "--json")[1])}
    assert (rows["adc.noise"]["unit"], rows["adc.noise"]["high"], rows["adc"]["of"]) == ("V", 0.1, "adc.bits")


BAD: dict[str, tuple[list[str], str]] = {
    "unknown task": (["study", "adc", "--task", "weather"], "task 'weather' is unknown"),
    "no such file": (["study", "adc", "--task", "absent.py"], "'absent.py' does not exist; define train.device, seed"),
    "data of a file": (
        ["study", "adc", "--task", "a.py", "--data", "x"],
        "--data does not apply to a file of your own",
    ),
    "a seed twice": (["study", "adc", "--seeds", "1,1"], "1 occurs twice"),
    "unknown study": (["study", "weather"], "'weather' is unknown; there are: tolerance"),
    "no name": (["study"], "no NAME of a knob is given: name one of `thermograd study --list`"),
    "a near name": (["study", "adc.bit"], "'adc.bit' is unknown; .*did you mean adc.bits?"),
    "no assignment": (["study", "adc", "--at", "device.layout"], "--at 'device.layout' is not NAME=VALUE"),
    "a value at": (["study", "adc", "--at", "refined.rounds=-1"], "refined.rounds is -1: give a whole number from 0"),
    "a knob twice": (["study", "adc", "--at", "adc.inl=0", "--at", "adc.inl=0"], "--at adc.inl is given twice"),
    "reading": (["study", "adc", "--reading", "twice"], "--reading is 'twice'"),
    "levels": (["study", "adc", "--levels", "3,four"], "'four' is not a number"),
    "dies": (["study", "adc", "--dies", "1,2.5"], "2.5 is not a seed"),
    "a die twice": (["study", "adc", "--dies", "1,2,1"], "1 occurs twice"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(files: Run, case: str) -> None:
    assert_rejected(files, *BAD[case])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "leave one of them out"),
        (["--at", "opamp.slew=1e6"], "opamp.slew = 1000000.0 would not be heeded"),
        (["--levels", "2.5"], "adc.bits is 2.5 bit: give a whole number from 1 to 24"),
    ],
)
def test_what_a_study_of_a_card_rejects(files: Run, arguments: list[str], words: str) -> None:
    card().write("card.json")
    assert_rejected(files, ["study", "adc", "--card", "card.json", *arguments], words)


OWN = """
def train(device, seed):
    return {"error": 0.001 if not hasattr(device, "die") else float("nan") if seed == 1 else 0.01, "seed": seed}
"""


def test_a_switch_is_studied_by_words_beside_another_knob(run: Run) -> None:
    """A training that does not depend on it says so."""
    card().write("card.json")
    Path("my.py").write_text(OWN, encoding="utf-8")
    arguments = [
        "study",
        "readout.auto_zero",
        "--task",
        "my.py",
        "--card",
        "card.json",
        "--dies",
        "1",
        "--workers",
        "1",
    ]
    code, out, error = run(*arguments, "--levels", "off,on", "--at", "adc.bits=6", "--out", "own")
    assert code == 0, error
    assert "Auto-zero, train: error" in out
    assert {"off", "on"} <= words(out)
    assert "every level of readout.auto_zero gave the same scores" in error
    kept = json.loads(Path("own/readout.auto_zero.json").read_text(encoding="utf-8"))
    assert (kept["levels"], kept["fixed"]) == (["off", "on"], {"adc.bits": 6})
    assert Path("own/readout.auto_zero.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_of_ones_own(run: Run) -> None:
    """Its scores in the table, with what diverged; exit code 1 where no level is near the ideal device."""
    card().write("card.json")
    Path("my.py").write_text(OWN, encoding="utf-8")
    arguments = ["study", "adc", "--task", "my.py", "--card", "card.json", "--levels", "4,8", "--dies", "1,2"]
    arguments += ["--workers", "1", "--out", "own"]
    code, out, error = run(*arguments, "--seeds", "0,1")
    assert code == 1
    assert "no level of adc trains without a run that diverges" in error
    assert "error, ideal device 0.001" in out
    assert "std over dies" in out
    assert "2 of 4" in out
    assert Path("own/adc.png").read_bytes().startswith(b"\x89PNG")
    assert run(*arguments)[0] == 0
    code, out, error = run(*arguments, "--within", "0.001")
    assert code == 1
    assert "no level of adc stays within 0.001 of the ideal device's error 0.001" in error
    assert run(*arguments, "--within", "0.01", "--json")[0] == 0
    assert run(*arguments, "--reading", "bare")[0] == 2
