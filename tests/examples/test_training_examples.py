"""The examples of training: each on small settings, and the law that it shows."""

from __future__ import annotations

import json
import math

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from sklearn.datasets import load_digits

import thermograd as tg

from .test_examples import ROOT, data_folder, load


def test_own_model_takes_the_steps_of_exact_natural_gradient(monkeypatch):
    """On the ideal device to what is left of the slowest mode; on a die to the residual of its readings, and not with bare ones."""
    example = load("own_model")
    die = tg.SurrogateDevice(tg.DeviceCard.uncalibrated("integrated"), 1, extrapolate=True)
    ideal, refined, bare = (
        example.train(device, 0, reading, steps=4)
        for device, reading in ((tg.IdealDevice(), "auto"), (die, "refined"), (die, "bare"))
    )

    def exact(params, duration, reading, device, **settings):
        return tg.NGD(params, **settings)

    monkeypatch.setattr(example.tg, "TNGD", exact)
    assert ideal == pytest.approx(example.train(None, 0, steps=4), rel=math.exp(-0.03 * 200))
    assert refined == pytest.approx(ideal, rel=0.01)
    assert abs(bare / ideal - 1) > 2 * abs(refined / ideal - 1)


@pytest.mark.parametrize(("device", "steps"), [("board", 4), ("spice", 2)])
def test_refined_readings_of_a_device_in_the_loop_are_as_exact_as_their_residual(device, steps, capsys):
    """Distance of the parameters from exact natural gradient; the bare board's is its own error."""
    found = load("device_in_the_loop").main(["--device", device, "--steps", str(steps)])
    assert found["bare"] > 5e-3
    assert found["refined to 1e-2"] < 3e-3
    assert found["refined to 1e-6"] < 1e-6
    assert "residual" in capsys.readouterr().out


def test_a_board_over_a_serial_line_trains_as_well_as_its_readings_are_refined(capsys):
    """Four steps; the line breaks on the way."""
    found = load("board_over_serial").main(["--steps", "4"])
    assert found["bare"] > 2e-3
    assert found["refined to 1e-2"] < 2e-3
    assert found["refined to 1e-6"] < 1e-6
    *_, last = capsys.readouterr().out.splitlines()
    assert "4 of 4 steps ok" in last
    assert ", 0 replies" not in last


def test_the_two_node_board_takes_steps_of_its_own_matrix_and_preconditions_others():
    """A bare step is off by the parts' errors, some percent; refined ones are exact for neighbours, too, at the cost of readings."""
    found = load("two_node_training").main(["--data", str(data_folder()), "--steps", "1"])
    for name in ("its own", "ten times"):
        bare, refined = found[name, 1]
        assert 1e-3 < bare < 0.03
        assert refined < 1e-6
    errors, counts = zip(*(found[distance] for distance in (0.0, 0.1, 0.2)), strict=True)
    assert errors[0] < 0.02 < errors[1] < errors[2]
    assert [one["fcg"] for one in counts] == [2, 2, 2]
    assert counts[0]["richardson"] < counts[1]["richardson"] < counts[2]["richardson"]


def test_own_board_is_a_device_and_resumes():
    example = load("device_in_the_loop")
    board, system, b = example.Board(), tg.Dense(torch.eye(2, dtype=torch.float64)), torch.ones(2, dtype=torch.float64)
    assert isinstance(board, tg.devicemodel.Device)
    board.solve(system, b, 0.5)
    kept = board.state_dict()
    further, other = board.evolve(0.5), example.Board()
    other.load_state_dict(kept)
    np.testing.assert_array_equal(other.solve(system, b, 0.5).x, further.x)


@pytest.fixture
def images(tmp_path):
    """scikit-learn's digits, three times as large, in MNIST's form."""
    pixels, labels = load_digits(return_X_y=True)
    large = np.kron((pixels.reshape(-1, 8, 8) * 15.9).astype(np.uint8), np.ones((1, 3, 3), np.uint8))
    large, labels = np.pad(large, ((0, 0), (2, 2), (2, 2))), labels.astype(np.uint8)
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=large[:300], y_train=labels[:300], x_test=large[300:400], y_test=labels[300:400])
    return path


def test_mnist_on_a_refined_die_follows_exact_natural_gradient(images, capsys):
    """Loss by loss, closer than the same die does bare."""
    small = ["--steps", "10", "--batch", "2", "--train", "300", "--test", "100", "--width", "1"]
    found = load("mnist").main(["--data", str(images), *small])
    exact, refined, bare = (np.array(found[name].loss) for name in ("exact NGD", "TNGD, refined", "TNGD, bare"))
    np.testing.assert_allclose(refined, exact, rtol=2e-3)
    assert np.abs(bare - exact).max() > 3 * np.abs(refined - exact).max()
    assert "step 10: loss" in capsys.readouterr().out


def test_mnist_without_data_says_what_to_give(monkeypatch, capsys):
    monkeypatch.delenv("THERMOGRAD_MNIST", raising=False)
    with pytest.raises(SystemExit):
        load("mnist").main([])
    assert "--data PATH" in capsys.readouterr().err


@pytest.mark.slow
def test_the_notebook_runs_and_shows_its_study(tmp_path):
    """With fewer levels, dies, seeds and steps; stored without outputs."""
    notebook = nbformat.read(ROOT / "examples" / "study.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    [parameters] = [cell for cell in code if "parameters" in cell.metadata.get("tags", ())]
    parameters.source += "\nLEVELS, DIES, SEEDS, STEPS, WORKERS = (2, 8), (1,), (0, 1), 4, 1"
    client = NotebookClient(
        notebook, timeout=200, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    text = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    lines = {tuple(line.split()[:2]): float(line.split(": ")[1].split(",")[0]) for line in text.splitlines()[1:]}
    ideal = float(text.splitlines()[0].split()[-1])
    assert abs(lines["refined", "8"] / ideal - 1) < 0.01
    assert abs(lines["bare", "2"] / ideal - 1) > 5 * abs(lines["refined", "8"] / ideal - 1)
    pictures = [output.data for output in code[-1].outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 1
    kept = list((tmp_path / "out" / "study_notebook" / "adc").glob("*.json"))
    assert len(kept) == 2 + 2 * 2 * 2
    assert all(json.loads(path.read_text(encoding="utf-8"))["result"]["scores"]["rms error"] > 0 for path in kept)
