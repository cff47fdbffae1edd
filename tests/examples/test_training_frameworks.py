"""The examples with transformers' Trainer and with Lightning: they train, accumulate and go on from a checkpoint."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "package"), [("hf_trainer", "transformers"), ("lightning_module", "lightning")])
def test_a_missing_package_is_named_with_the_extra_that_has_it(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # as if it was not installed
    with pytest.raises(SystemExit, match=rf"{package}.*pip install 'thermograd\[llm\]'"):
        load(name)


@pytest.mark.long
def test_a_trainer_that_was_stopped_ends_where_one_that_was_not_does(tmp_path):
    """With gradient accumulation, a schedule, and two groups, one with weight decay."""
    main = load("hf_trainer").main
    options = ["--accumulate", "2", "--save-steps", "3", "--cpu"]
    whole = main([*options, "--steps", "6", "--out", str(tmp_path / "whole")])
    main([*options, "--steps", "3", "--out", str(tmp_path / "parts")])
    parts = main([*options, "--steps", "6", "--out", str(tmp_path / "parts"), "--resume"])
    assert whole["after"]["eval_loss"] == pytest.approx(parts["after"]["eval_loss"], abs=1e-6)
    assert whole["after"]["eval_loss"] != pytest.approx(whole["before"]["eval_loss"], abs=1e-4)
    assert whole["trainer"].state.global_step == 6


@pytest.mark.slow
def test_lightning_learns_the_digits(tmp_path):
    main = load("lightning_module").main
    options = ["--optimizer", "tngd", "--accumulate", "2", "--epochs", "1", "--out", str(tmp_path)]
    assert main(options)["accuracy"] > 0.8
