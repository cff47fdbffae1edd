"""What works on a machine without ngspice: the library is hidden, from this process and from those that it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thermograd.circuits.ngspice.library import VARIABLE
from thermograd.cli import installation

from .command_line import Run, is_one_line

TRAINING = """
import torch
import thermograd as tg

def train(device, seed, reading):
    torch.manual_seed(seed)
    model = torch.nn.Linear(2, 1).double()
    x = torch.randn(4, 2, dtype=torch.float64)
    optimizer = tg.TNGD(model.parameters(), lr=0.5, damping=0.1, duration=100.0, device=device, reading=reading)
    def closure():
        out = model(x)
        return (out - x.sum(1, keepdim=True)).square().mean() / 2, out
    for _ in range(2):
        loss = optimizer.step(closure)
    return float(loss)
"""


@pytest.fixture
def without(files: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run`, with the library hidden."""
    monkeypatch.setenv(VARIABLE, "/nowhere/libngspice.so")
    return files


TAKES_NONE = {
    "simulate": [
        "simulate",
        "A.npy",
        "--card",
        "shipped:integrated",
        "--die",
        "1",
        "--device",
        "surrogate",
        "--extrapolate",
    ],
    "train": [
        *("train", "--card", "shipped:integrated", "--die", "1", "--extrapolate", "--steps", "2", "--batch", "2"),
        *("--device", "surrogate"),
    ],
    "error-budget": [
        *("error-budget", "--card", "shipped:gf180mcu", "--at", "0", "--dies", "1", "--batch", "1", "--rounds", "0")
    ],
    "study": [
        "study",
        "adc",
        "--task",
        "own.py",
        "--card",
        "shipped:integrated",
        *("--levels", "8", "--dies", "1", "--workers", "1"),
    ],
    "cost": ["cost", "--parameters", "1000", "--batch", "4", "--outputs", "2"],
    "technology": ["technology", "integrated"],
}


@pytest.mark.parametrize("name", TAKES_NONE)
def test_what_doctor_says_works_does(without: Run, name: str) -> None:
    Path("own.py").write_text(TRAINING, encoding="utf-8")
    code, out, error = without(*TAKES_NONE[name], "--json")
    assert code == 0, error
    json.loads(out)
    assert name in " ".join(one for one, works, _ in installation.WITHOUT_NGSPICE if works)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulate", "A.npy"], "libngspice"),
        (["calibrate", "--quick", "--workers", "1"], "libngspice"),
        (["study", "adc", "--workers", "1"], "--card shipped:integrated"),
    ],
)
def test_what_needs_it_says_so(without: Run, arguments: list[str], words: str) -> None:
    """Negative control: the library is hidden indeed."""
    code, _, error = without(*arguments)
    assert code == 2
    assert is_one_line(error.splitlines()[-1] + "\n")
    assert words in error


def test_doctor_lists_what_works_all_the_same(without: Run) -> None:
    code, out, _ = without("doctor", "--json")
    assert code == 2
    data = json.loads(out)
    assert {one["name"]: one["works"] for one in data["without_ngspice"]}["study"] is True
    assert next(one for one in data["checks"] if one["name"] == installation.CARDS)["status"] == "ok"


def test_doctor_sees_a_card_that_was_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Negative control."""
    from thermograd.devicemodel import shipped_cards

    text = (shipped_cards.FOLDER / "integrated.json").read_text(encoding="utf-8")
    (tmp_path / "integrated.json").write_text(text.replace('"format"', '"Format"'), encoding="utf-8")
    monkeypatch.setattr(shipped_cards, "FOLDER", tmp_path)
    assert installation._shipped_cards().ok is False
