"""`thermograd simulate`: on the ideal device, in ngspice and on a card, and how bad outcomes end."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thermograd.circuits.technology.presets import PRESETS
from thermograd.cli.hardware import DEVICES
from thermograd.compiler.fabrics.registry import fabric_names
from thermograd.devicemodel.card import DeviceCard

from .command_line import A, B, Run, assert_rejected, card, is_one_line, save, words


def test_help_names_what_there_is(run: Run) -> None:
    """The help text is static, so that it is fast; it must not lag behind the code."""
    assert {*fabric_names("has_device_model"), *PRESETS, *DEVICES} <= words(run("simulate", "--help")[1])


def test_simulate_on_the_ideal_device(run: Run) -> None:
    save("A.npy", A)
    save("b.npy", B)
    code, out, _ = run("simulate", "A.npy", "--b", "b.npy", "--device", "ideal", "--duration", "inf", "--json")
    data = json.loads(out)
    assert (code, data["outcome"], data["duration_tau"]) == (0, "ok", None)
    np.testing.assert_allclose(data["x"], np.linalg.solve(A, B), rtol=1e-9)
    code, out, _ = run("simulate", "A.npy", "--device", "ideal", "--out", "x.csv", "--plot", "x.png")
    assert code == 0
    assert "relative error" in out
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")
    with Path("x.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Ten slow time constants leave e^-10 of the slow mode, and b is all ones.
    np.testing.assert_allclose([float(row["x"]) for row in rows], np.linalg.solve(A, np.ones(3)), rtol=1e-3)


def test_damping_changes_the_system_that_is_solved(run: Run) -> None:
    save("A.npy", np.array([[1.0, 2.0], [2.0, 1.0]]))
    code, out, _ = run("simulate", "A.npy", "--damping", "2", "--device", "ideal", "--json", "--out", "x.npz")
    assert code == 0
    with np.load("x.npz") as file:
        np.testing.assert_array_equal(file["A"], [[3.0, 2.0], [2.0, 3.0]])
    np.testing.assert_allclose(json.loads(out)["exact"], [0.2, 0.2])


def test_simulate_runs_ngspice_and_draws_its_waveforms(run: Run) -> None:
    arguments = ["simulate", save("s.npz", A=A, b=B), "--technology", "integrated", "--die", "7", "--json"]
    bare = json.loads(run(*arguments, "--reading", "bare")[1])
    assert bare["reading"] == "bare"
    assert 1e-3 < bare["relative_error"] < 0.2  # 1 % parts and 8 bit, times the condition number of 3
    code, out, _ = run(*arguments, "--plot", "x.svg")
    data = json.loads(out)
    assert (code, data["outcome"], data["die"], data["technology"]) == (0, "ok", 7, "integrated")
    assert data["reading"] == "refined"
    assert len(data["residuals"]) == data["digital_products"] == 3
    assert data["relative_error"] < 1e-4
    assert np.linalg.norm(np.subtract(data["x"], data["exact"])) <= data["error_bound"]
    assert "<svg" in Path("x.svg").read_text(encoding="utf-8")
    assert json.loads(run(*arguments)[1])["x"] == data["x"], "one seed, one die, one noise"
    early = json.loads(run(*arguments, "--duration", "1")[1])
    assert early["reading"] == "bare"  # not read to its end
    settled = json.loads(run(*arguments, "--duration", "inf")[1])
    assert settled["duration_tau"] is None
    np.testing.assert_allclose(settled["x"], data["x"], rtol=0.1, atol=0.02)


def test_oscillators_take_fewer_tau_and_their_velocities_are_drawn(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from thermograd.report.figures import settling

    drawn, plot = [], settling.settling_plot
    monkeypatch.setattr(settling, "settling_plot", lambda *given: drawn.append(given[-1]) or plot(*given))
    arguments = ["simulate", save("s.npz", A=A, b=B), "--fabric", "oscillator", "--reading", "bare", "--json"]
    code, out, _ = run(*arguments, "--plot", "x.svg")
    data, least = json.loads(out), float(np.linalg.eigvalsh(A)[0])
    assert (code, data["outcome"], data["fabric"]) == (0, "ok", "oscillator")
    assert data["duration_tau"] == pytest.approx(10 / math.sqrt(least))
    assert data["relative_error"] < 1e-3  # (1 + 10) exp(-10) is left of the slowest mode
    [velocities] = drawn
    assert len(velocities) == len(B)
    assert np.abs(velocities).max() > 20 * np.abs(velocities[:, -1]).max()


def test_the_causes_of_oscillators_are_sought_with_the_friction_of_the_solution(run: Run) -> None:
    DeviceCard.uncalibrated(PRESETS["integrated"], "oscillator").write(Path("card.json"))
    system = save("one.npy", A[:1, :1])
    code, out, error = run("simulate", system, "--card", "card.json", "--reading", "bare", "--why", "--json")
    assert (code, error) == (0, "")
    assert json.loads(out)["causes"]


def test_a_cascade_is_given_the_factors_of_a_file(run: Run) -> None:
    system = save("factors.npz", J=np.array([[1.0, -0.5, 0.2]]), damping=0.5, b=np.ones(3))
    code, out, _ = run("simulate", system, "--fabric", "factored", "--technology", "integrated", "--die", "1", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["fabric"] == "factored"
    assert found["relative_error"] < 1e-3
    code, _, err = run("simulate", save("whole.npz", A=np.eye(2)), "--fabric", "factored", "--technology", "integrated")
    assert code != 0
    assert "LowRank" in err


def test_a_bad_outcome_is_exit_code_1_with_advice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from thermograd.devicemodel.device import Outcome, Solution
    from thermograd.devicemodel.devices.ideal import IdealDevice

    def fail(*_: Any, **__: Any) -> Solution:
        return Solution(torch.full((3,), torch.nan, dtype=torch.float64), Outcome.UNSTABLE, 1e-6)

    monkeypatch.setattr(IdealDevice, "solve", fail)
    code, out, error = run("simulate", save("A.npy", A), "--device", "ideal", "--plot", "x.png", "--out", "x.csv")
    assert code == 1
    assert is_one_line(error)
    assert "more damping" in error
    assert "outcome unstable" in out
    assert not Path("x.png").exists()
    assert not Path("x.csv").exists()


def test_a_card_is_not_asked_beyond_its_range_unless_told_to(run: Run) -> None:
    card().write(Path("card.json"))
    big = np.eye(70) + 0.01
    code, _, error = run("simulate", save("big.npy", big), "--card", "card.json")
    assert code == 2
    assert is_one_line(error)
    assert "70 unknowns, calibrated for 2 to 64" in error
    assert "--extrapolate" in error
    code, out, error = run("simulate", "big.npy", "--card", "card.json", "--extrapolate")
    assert code == 0
    assert "outcome extrapolated" in out
    assert "outside of the card's range: 70 unknowns, calibrated for 2 to 64" in out
    assert "the reading is extrapolated" in error
    code, out, _ = run("simulate", "big.npy", "--card", "card.json", "--extrapolate", "--json")
    assert json.loads(out)["violations"] == ["70 unknowns, calibrated for 2 to 64"]
    code, _, error = run("simulate", "big.npy", "--extrapolate")
    assert code == 2
    assert "--extrapolate does not apply to the spice device" in error


BAD: dict[str, tuple[list[str], str]] = {
    "b too long, simulate": (["simulate", "A.npy", "--b", "b4.npy"], r"b has shape \(4,\).*must be \(3,\)"),
    "b missing": (["simulate", "A.npy", "--b", "none.npy"], r"vector file 'none\.npy' cannot be read"),
    "unknown fabric, simulate": (["simulate", "A.npy", "--fabric", "wires"], "'wires' is unknown"),
    "nan duration": (["simulate", "A.npy", "--duration", "nan"], "duration is nan"),
    "negative duration": (["simulate", "A.npy", "--duration", "-1"], "duration is -1"),
    "noise at rest": (
        ["simulate", "A.npy", "--technology", "integrated", "--noise", "--duration", "inf"],
        "operating point, which has none; give a finite --duration",
    ),
    "unknown device": (["simulate", "A.npy", "--device", "abacus"], "'abacus' is unknown; there are: ideal"),
    "ideal has no die": (
        ["simulate", "A.npy", "--device", "ideal", "--die", "1"],
        "--die does not apply.*surrogate or spice",
    ),
    "unknown reading": (["simulate", "A.npy", "--reading", "twice"], "'twice': give one of auto, refined, bare"),
    "no card": (["simulate", "A.npy", "--device", "surrogate"], "needs a card.*calibrate"),
    "missing card": (["simulate", "A.npy", "--card", "none.json"], "'none.json' cannot be read"),
    "negative die": (["simulate", "A.npy", "--die", "-3"], "--die"),
    "picture suffix": (["simulate", "A.npy", "--plot", "x.gif"], r"\.gif.*\.png or \.svg"),
    "output suffix": (["simulate", "A.npy", "--out", "x.mat"], r"\.mat.*\.npz or \.csv"),
    "overwrites an input": (["simulate", "system.npz", "--out", "system.npz"], "overwrite an input"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(files: Run, case: str) -> None:
    assert_rejected(files, *BAD[case])


def test_the_spu_solves_by_sampling_with_error_bars(run: Run) -> None:
    m = A - 2 * np.triu(np.abs(A) * (A > 0), 1) - 2 * np.tril(np.abs(A) * (A > 0), -1)
    arguments = ["simulate", save("m.npz", A=m, b=B), "--fabric", "spu", "--duration", "2000"]
    code, out, _ = run(*arguments, "--json", "--out", "x.npz")
    data = json.loads(out)
    assert (code, data["outcome"], data["reading"]) == (0, "ok", "sampled")
    exact = np.linalg.solve(m, B)
    assert (np.abs(np.array(data["x"]) - exact) < 5 * np.array(data["standard_error"])).all()
    with np.load("x.npz") as file:
        np.testing.assert_array_equal(file["standard_error"], data["standard_error"])
    code, out, _ = run(*arguments, "--out", "x.csv", "--plot", "x.png")
    assert code == 0
    assert "standard error" in out
    assert Path("x.csv").read_text(encoding="utf-8").startswith("i,b,x,standard_error,exact")
    code, out, _ = run(*arguments, "--reading", "refined", "--json")
    refined = json.loads(out)
    assert (code, refined["reading"]) == (0, "sampled, refined")
    assert refined["residuals"][-1] < refined["residuals"][0] / 20
    for more, why in (
        (["--why"], "--why does not apply to fabric spu"),
        (["--device", "ideal"], "--device ideal does not sample"),
        (["--duration", "1"], "too short for an error bar"),
    ):
        assert_rejected(run, [*arguments, *more], why)
    assert_rejected(run, ["simulate", save("A.npy", A), "--fabric", "spu"], "is positive")
    for fabric in ("spu", "rc"):
        DeviceCard.uncalibrated(PRESETS["integrated"], fabric).write(f"{fabric}.json")
    code, out, _ = run(*arguments[:-1], "300", "--card", "spu.json", "--die", "1", "--json")
    assert (code, json.loads(out)["technology"]) == (0, "integrated")
    assert_rejected(run, [*arguments, "--card", "rc.json"], "--card rc.json is of fabric rc")
    assert_rejected(run, [*arguments, "--card", "spu.json", "--technology", "ideal"], "leave one of them out")
