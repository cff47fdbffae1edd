"""`thermograd codesign`: a small search from the shell, and what is rejected before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thermograd.circuits.technology.technology import Technology

from ..command_line import Run

TARGET = "test_accuracy >= exact_ngd - 40"


@pytest.mark.slow
def test_codesign_writes_the_winner_and_resumes(run: Run) -> None:
    arguments = [
        *("codesign", "--target", TARGET, "--trials", "3", "--steps", "4", "--batch", "2", "--dies", "1", "--confirm-dies", "1"),
        *("--confirm-seeds", "0", "--spice", "0", "--margins", "none", "--sensitivity", "0", "--workers", "1", "--out", "c"),
        *("--knob", "adc.bits=6:8", "--knob", "refined.rounds=1,2", "--reading", "refined", "--json"),
    ]  # fmt: skip
    code, out, error = run(*arguments)
    assert code == 0, error
    data = json.loads(out)
    assert len(data["designs"]) == 3
    winner = next(one for one in data["designs"] if one["number"] == data["winner"])
    assert Technology.read("c/winner.toml").adc.bits == winner["point"]["adc.bits"]
    assert "<html" in Path("c/codesign.html").read_text(encoding="utf-8")
    again = json.loads(run(*arguments)[1])
    assert again["designs"] == data["designs"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "loss <= 1"], "unknown"),
        (["--target", TARGET, "--knob", "adc.bits"], "NAME=LOW:HIGH"),
        (["--target", TARGET, "--reading", "none"], "--reading is 'none'"),
        (["--target", TARGET, "--at", "adc.bits"], "NAME=VALUE"),
        (["--target", TARGET, "--card", "shipped:integrated", "--technology", "paper"], "leave --technology out"),
    ],
)
def test_bad_input(run: Run, arguments: list[str], words: str) -> None:
    code, _, error = run("codesign", *arguments)
    assert code == 2
    assert words in error
