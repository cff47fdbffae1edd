"""`thermograd landscape`: output, files, rejected input, and that TNGD's paths go from SGD's to exact NGD's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from thermograd.optim.optimizers.registry import OPTIMIZERS
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.training.landscape import PLANES, _assign
from thermograd.optim.training.trajectory import mean_loss

from .command_line import Run

QUICK = ("--steps", 6, "--points", 5, "--samples", 100)


def test_help_lists_the_command_and_names_what_there_is(run: Run) -> None:
    assert re.search(r"\blandscape\b", run("--help")[1])
    code, text, error = run("landscape", "--help")
    assert (code, error) == (0, "")
    assert text.split("Examples")[1].count("thermograd landscape") == 4
    assert {*OPTIMIZERS, *PLANES, "digits", "mnist", "fashion-mnist"} <= set(re.findall(r"[a-z][a-z_-]*", text))


def test_the_table_says_how_each_path_ends(run: Run) -> None:
    code, out, error = run("landscape", *QUICK)
    assert code == 0
    assert "digits: 6 steps of 16, seed 0; loss of 100 training samples" in out
    assert all(re.search(rf"│ {name} +│ [0-9.]+ +│", out) for name in ("sgd", "adam", "ngd", "tngd"))
    assert re.fullmatch(
        r"Principal plane of the paths through the best end; it holds [0-9.]+ % of their variance\n", error
    )
    assert list(Path().iterdir()) == []


def test_without_analog_time_it_is_sgd_and_with_much_of_it_exact_ngd(run: Run) -> None:
    """The paths themselves: both limits lie on the paths of the digital optimizers, and a time in between on neither."""
    listed = "sgd:lr=0.3,tngd:duration=0,tngd:duration=1,tngd:duration=inf,ngd"
    code, out, error = run("landscape", *QUICK, "--optimizers", listed, "--json")
    assert code == 0, error
    sgd, start, middle, settled, ngd = json.loads(out)["paths"]
    assert [one["label"] for one in (sgd, start, settled)] == [
        "sgd, lr 0.3",
        "tngd, duration 0",
        "tngd, duration inf",
    ]
    for one, other in ((start, sgd), (settled, ngd)):
        np.testing.assert_allclose([one["x"], one["y"]], [other["x"], other["y"]], atol=2e-5)
        np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-4)
        assert not np.allclose([middle["x"], middle["y"]], [other["x"], other["y"]], atol=1e-2)


def test_files_hold_the_slice_and_the_paths(run: Run) -> None:
    code, out, error = run(
        "landscape", *QUICK, "--optimizers", "sgd,adam", "--seed", 4, "--out", "new/a.npz", "--plot", "new/a.png", "--json"
    )  # fmt: skip
    assert code == 0
    assert "wrote new/a.npz" in error
    assert "wrote new/a.png" in error
    assert Path("new/a.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads(out)
    assert (data["task"][:6], data["steps"], data["batch"], data["seed"]) == ("digits", 6, 16, 4)
    with np.load("new/a.npz", allow_pickle=False) as found:
        assert found["labels"].tolist() == ["sgd", "adam"]
        np.testing.assert_allclose(found["loss"], data["loss"])
        np.testing.assert_allclose(found["path_1"][:, 1], data["paths"][1]["y"])
        task = make_task("digits")
        model = task.model()
        _assign(
            model, found["centre"] + found["x"][3] * found["directions"][0] + found["y"][1] * found["directions"][1]
        )
        chosen = torch.from_numpy(np.sort(np.random.default_rng(4).permutation(len(task.train_inputs))[:100]))
        again = mean_loss(model, task.loss, task.train_inputs[chosen], task.train_targets[chosen])
        assert found["loss"][1, 3] == pytest.approx(again, rel=1e-6)
    code, _, error = run("landscape", *QUICK, "--optimizers", "sgd,adam", "--seed", 4, "--out", "b.json")
    assert (code, "wrote b.json" in error) == (0, True)
    assert json.loads(Path("b.json").read_text()) == data


@pytest.mark.parametrize("suffix", ["svg", "pdf"])
def test_pictures_of_every_kind(run: Run, suffix: str) -> None:
    code, _, error = run("landscape", *QUICK, "--optimizers", "adam", "--plane", "random", "--plot", f"a.{suffix}")
    assert code == 0, error
    assert "Filter-normalised random plane" in error
    assert Path(f"a.{suffix}").stat().st_size > 5_000


def test_a_training_that_leaves_is_drawn_as_far_as_it_went(run: Run) -> None:
    code, out, error = run("landscape", *QUICK, "--optimizers", "sgd:lr=1e9,adam", "--plot", "a.png")
    assert code == 0, error
    assert "sgd, lr 1e+09 diverged before step 1, where its path ends; try a smaller lr" in error
    code, out, error = run("landscape", *QUICK, "--optimizers", "sgd:lr=1e9")
    assert (code, out) == (2, "")
    assert "all trainings diverged" in error


def test_a_device_serves_the_optimizers_that_use_one(run: Run) -> None:
    code, _, error = run("landscape", *QUICK, "--optimizers", "sgd,tngd", "--device", "ideal")
    assert code == 0, error


BAD: dict[str, tuple[tuple[object, ...], str]] = {
    "task": (("--task", "faces"), "task 'faces' is unknown; there are: digits"),
    "data": (("--data", "x.npz"), "--data does not apply to digits"),
    "optimizer": (("--optimizers", "sgd,newton"), "--optimizers: 'newton' is unknown; there are: sgd, adam"),
    "empty": (("--optimizers", "sgd,"), "--optimizers: '' is unknown"),
    "twice": (("--optimizers", "sgd:lr=0.1,sgd:lr=1e-1"), "'sgd:lr=1e-1' is given twice"),
    "many": (("--optimizers", ",".join(f"sgd:lr={k}" for k in range(1, 10))), "9 are too many for one picture"),
    "setting": (("--optimizers", "sgd:damping=1"), "'damping=1' does not apply to sgd; it takes lr"),
    "no number": (("--optimizers", "ngd:lr=fast"), "'lr=fast' of ngd is not a number"),
    "given twice": (("--optimizers", "ngd:lr=0.1:lr=0.2"), "lr of ngd is given twice"),
    "no value": (("--optimizers", "ngd:lr"), "'lr' of ngd is not a number"),
    "rate": (("--optimizers", "ngd:lr=-1"), r"lr of ngd is -1\.0; give a finite number > 0"),
    "damping": (("--optimizers", "ngd:damping=nan"), "damping of ngd is nan; give a finite number"),
    "negative damping": (("--optimizers", "sgd,ngd:damping=-1"), r"damping is -1\.0: give a finite number >= 0"),
    "negative time": (("--optimizers", "tngd:duration=-1"), r"duration is -1\.0"),
    "plane": (("--plane", "tilted"), "--plane 'tilted' is unknown; there are: paths, random"),
    "span": (("--span", "0"), r"--span is 0\.0; give a finite number > 0"),
    "no device used": (("--optimizers", "sgd", "--die", 3), "--die does not apply to sgd, which use no device"),
    "no card": (("--device", "surrogate"), "the surrogate device needs a card"),
    "batch": (("--batch", 5000), "batch is 5000"),
    "suffix": (("--plot", "a.gif"), r"'\.gif'; use \.png or \.svg"),
    "data's suffix": (("--out", "a.csv"), r"'\.csv'; use \.json or \.npz"),
    "line": (("--optimizers", "sgd", "--steps", 1), "lie on one line"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(run: Run, case: str) -> None:
    arguments, message = BAD[case]
    quick = () if "--steps" in arguments else QUICK
    code, out, error = run("landscape", *quick, *arguments)
    assert (code, out) == (2, ""), error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert list(Path().iterdir()) == [], "nothing is written when the input is bad"
