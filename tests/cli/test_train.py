"""`thermograd train`: resuming, MNIST, surrogates, and what counts as a failed training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from thermograd.cli.hardware import DEVICES
from thermograd.cli.training.one import Trained
from thermograd.optim.optimizers.registry import OPTIMIZERS

from .command_line import Run, assert_rejected, card, save, words


def test_help_names_what_there_is(run: Run) -> None:
    """The help text is static, so that it is fast; it must not lag behind the code."""
    assert {*OPTIMIZERS, *DEVICES} <= words(run("train", "--help")[1])


def test_a_checkpoint_is_of_one_die_and_one_card(run: Run) -> None:
    made = card()
    made.write(Path("card.json"))
    made.replace(gain=1.01).write(Path("other.json"))
    rest = ["--steps", "1", "--batch", "2", "--extrapolate", "--checkpoint", "run.pt"]
    assert run("train", "--card", "card.json", "--die", "1", *rest)[0] == 0
    assert run("train", "--card", "card.json", "--die", "1", *rest)[0] == 0
    code, _, error = run("train", "--card", "card.json", "--die", "2", *rest)
    assert code == 2
    assert "another run: device.die 1 (this run: 2); give" in " ".join(error.split())
    code, _, error = run("train", "--card", "other.json", "--die", "1", *rest)
    assert code == 2
    assert "another run: device.card with checksum" in " ".join(error.split())


def test_training_beyond_a_card_is_asked_for(run: Run) -> None:
    card().write(Path("card.json"))
    arguments = ["train", "--card", "card.json", "--die", "1", "--steps", "2", "--batch", "8"]
    code, _, error = run(*arguments)
    assert code == 2
    assert "calibrated for 2 to 64" in error
    code, out, _ = run(*arguments, "--extrapolate", "--json")
    assert code == 0
    assert json.loads(out)["outcome"] == ["extrapolated", "extrapolated"]


def test_train_resumes_and_writes_what_it_did(run: Run) -> None:
    arguments = ["train", "--optimizer", "adam", "--seed", "3"]
    code, out, _ = run(*arguments, "--steps", "30", "--json")
    whole = json.loads(out)
    assert code == 0
    assert len(whole["loss"]) == 30
    assert run(*arguments, "--steps", "20", "--checkpoint", "run.pt")[0] == 0
    code, out, _ = run(*arguments, "--steps", "30", "--checkpoint", "run.pt", "--out", "h.json", "--plot", "h.png")
    assert code == 0
    assert "test accuracy" in out
    assert json.loads(Path("h.json").read_text(encoding="utf-8"))["loss"] == whole["loss"]
    assert Path("h.png").read_bytes().startswith(b"\x89PNG")
    code, _, error = run("train", "--optimizer", "sgd", "--steps", "30", "--checkpoint", "run.pt")
    assert code == 2
    assert "another run" in error


@pytest.mark.slow
def test_train_on_mnist(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    data = {}
    for part in ("train", "test"):
        data[f"y_{part}"] = labels = random.integers(0, 10, 10_000, dtype=np.uint8)
        data[f"x_{part}"] = images = np.zeros((10_000, 28, 28), np.uint8)
        images[np.arange(10_000), 4 + 2 * labels] = 255  # a line whose height says the digit
    save("mnist.npz", **data)
    arguments = ["train", "--task", "mnist", "--optimizer", "adam", "--checkpoint", "run.pt"]
    assert run(*arguments, "--data", "mnist.npz", "--steps", "5")[0] == 0
    monkeypatch.setenv("THERMOGRAD_MNIST", "mnist.npz")
    code, out, error = run(*arguments, "--steps", "20", "--plot", "m.png", "--require", "0.9", "--json")
    assert code == 0, error
    result = json.loads(out)
    assert (result["task"], result["batch"], len(result["loss"])) == ("mnist", 64, 20)
    assert [step for step, _ in result["evaluations"]] == [0, 5, 20]
    assert Path("m.png").read_bytes().startswith(b"\x89PNG")


def test_train_a_physics_informed_network(run: Run) -> None:
    arguments = ["train", "--task", "poisson", "--optimizer", "adam", "--steps", "12"]
    code, out, _ = run(*arguments, "--plot", "p.png", "--require", "2")
    assert code == 0
    assert "poisson: adam, 12 steps" in out
    assert "relative L2 error" in out
    assert "steps to 0.0001" in out
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    result = json.loads(run(*arguments, "--json")[1])
    assert result["score"] == {"name": "relative L2 error", "more_is_better": False, "target": 1e-4, "percent": False}
    assert result["batch"] is None
    iterative = json.loads(run(*arguments[:4], "ngd-cg", "--steps", "1", "--json")[1])
    assert iterative["settings"]["damping"]["factor"] == 0.7
    code, _, error = run(*arguments, "--require", "1e-4")
    assert code == 1
    assert f"relative L2 error {result['final_score']:.4g} is above the required 0.0001" in " ".join(error.split())


def test_train_on_a_surrogate(run: Run) -> None:
    card().write("card.json")
    arguments = ["train", "--card", "card.json", "--die", "1", "--steps", "3", "--batch", "2", "--duration", "5"]
    code, out, error = run(*arguments, "--json")
    data = json.loads(out)
    assert code == 0, error
    assert (data["device"], data["die"], data["settings"]["duration"]) == ("surrogate", 1, 5.0)
    assert data["reading"] == ["bare"] * 3  # not read to its end
    assert json.loads(run(*arguments, "--reading", "refined", "--json")[1])["reading"] == ["refined"] * 3
    assert "refined 3" in run(*arguments, "--reading", "refined")[1]
    assert run("train", "--card", "card.json", "--technology", "paper")[0] == 2
    code, _, error = run(*arguments, "--require", "0.999")
    assert code == 1
    assert "below the required 0.999" in error


def test_what_counts_as_a_failed_training() -> None:
    from thermograd.optim.training.train import History

    def problem(loss: list[float], outcome: list[str], accuracy: float = 0.9) -> str:
        asked = {"task": "digits", "optimizer": "tngd", "device": "ideal", "batch": 16}
        history = History(loss=loss, outcome=outcome, evaluations=[(len(loss), accuracy)])
        return Trained(asked, history).problem(0.5)

    assert problem([1.0] * 10, ["ok"] * 10) == ""
    assert problem([1.0] * 10, ["ok"] * 9 + ["clipped"]) == ""
    assert "2 of 10" in problem([1.0] * 10, ["ok"] * 8 + ["clipped"] * 2)
    assert "step 1" in problem([1.0, float("nan")], ["ok"] * 2)
    assert "below" in problem([1.0] * 10, ["ok"] * 10, accuracy=0.4)


BAD: dict[str, tuple[list[str], str]] = {
    "unknown task": (["train", "--task", "letters"], "'letters' is unknown; there are: digits"),
    "mnist is not shipped": (["train", "--task", "mnist"], "needs its data.*--data PATH.*THERMOGRAD_MNIST"),
    "no such data": (["train", "--task", "mnist", "--data", "no.npz"], "'no.npz' does not exist"),
    "data of another kind": (["train", "--task", "mnist", "--data", "system.npz"], "no array x_train, only A, b"),
    "digits have no data": (["train", "--data", "system.npz"], "--data does not apply to digits.*--task mnist"),
    "overwrites the data": (
        ["train", "--task", "mnist", "--data", "system.npz", "--checkpoint", "system.npz"],
        "overwrite an input",
    ),
    "unknown optimizer": (["train", "--optimizer", "lion"], "'lion': give one of sgd"),
    "sgd has no damping": (["train", "--optimizer", "sgd", "--damping", "1"], "--damping does not apply to sgd"),
    "adam has no device": (["train", "--optimizer", "adam", "--device", "ideal"], "--device does not apply to adam"),
    "adam has no reading": (["train", "--optimizer", "adam", "--reading", "bare"], "--reading does not apply to adam"),
    "reading": (["train", "--reading", "twice"], "reading is 'twice'"),
    "learning rate": (["train", "--optimizer", "sgd", "--lr", "-1"], "--lr is -1"),
    "an accuracy is at most 1": (["train", "--require", "95"], "--require is 95; the test accuracy of digits"),
    "poisson has no batch": (["train", "--task", "poisson", "--batch", "4"], "takes all of its points"),
    "poisson has no data": (["train", "--task", "poisson", "--data", "system.npz"], "--data does not apply to poisson"),
    "batch too large": (["train", "--batch", "100000"], "100000"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(files: Run, case: str) -> None:
    assert_rejected(files, *BAD[case])
