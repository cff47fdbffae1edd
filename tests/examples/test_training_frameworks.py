"""The examples with transformers' Trainer and with Lightning: they train, accumulate and go on from a checkpoint."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
EXTRA = "is in the extra thermograd[llm]"


def example(name, package):
    """The example as a module, where its package is installed."""
    pytest.importorskip(package, reason=f"{package} {EXTRA}")
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_trainer_that_was_stopped_ends_where_one_that_was_not_does(tmp_path):
    """With gradient accumulation, a schedule, and two groups, one with weight decay."""
    main = example("hf_trainer", "transformers").main
    options = ["--accumulate", "2", "--save-steps", "3", "--cpu"]
    whole = main([*options, "--steps", "6", "--out", str(tmp_path / "whole")])
    main([*options, "--steps", "3", "--out", str(tmp_path / "parts")])
    parts = main([*options, "--steps", "6", "--out", str(tmp_path / "parts"), "--resume"])
    assert whole["after"]["eval_loss"] == pytest.approx(parts["after"]["eval_loss"], abs=1e-6)
    assert whole["after"]["eval_loss"] != pytest.approx(whole["before"]["eval_loss"], abs=1e-4)
    assert whole["trainer"].state.global_step == 6


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["ngd", "tngd"])
def test_lightning_learns_the_digits(tmp_path, optimizer):
    main = example("lightning_module", "lightning").main
    options = ["--optimizer", optimizer, "--accumulate", "2", "--epochs", "2", "--out", str(tmp_path)]
    assert main(options)["accuracy"] > 0.85
