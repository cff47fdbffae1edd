"""benchmarks/optim/ngd_speed.py: its reference against dense autodiff, its bookkeeping, and the command from end to end."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "optim"))  # scripts, not a package

import ngd_speed  # noqa: E402
from ngd_speed_parts import measure, report  # noqa: E402
from ngd_speed_parts.methods import METHODS, Method, conjugate_gradients, double_backward, explicit_jacobian, ours  # noqa: E402
from ngd_speed_parts.problems import LOSS, NETWORKS, Problem, images, network  # noqa: E402
from ngd_speed_parts.reference import Reference  # noqa: E402

from thermograd.circuits.errors import InputError  # noqa: E402

COUNTS = {
    "MLP 235k": 235_146, "CNN 20k": 20_490, "CNN 207k": 206_922, "CNN 1.03M": 1_025_866, "deep CNN 0.98M": 978_122,
}  # fmt: skip


@pytest.fixture
def tiny():
    """110 parameters, ten outputs, five samples."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 10))
    return Problem(model.double(), torch.rand(5, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 3, 3, 6, 1]))


def dense(task):
    """G by autograd's Hessian of the loss in the outputs and its Jacobian in all parameters at once; g."""
    names = [name for name, _ in task.model.named_parameters()]
    values = tuple(p.detach() for p in task.parameters)

    def outputs(*values):
        return torch.func.functional_call(task.model, dict(zip(names, values, strict=True)), (task.x,)).reshape(-1)

    J = torch.cat([part.flatten(1) for part in torch.autograd.functional.jacobian(outputs, values)], dim=1)
    z = outputs(*values)
    H = torch.autograd.functional.hessian(lambda z: LOSS(z.reshape(5, 10), task.y), z)
    loss, _ = task.closure()
    g = torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss, task.parameters)])
    return J.mT @ H @ J, g


@pytest.mark.parametrize("block", [1e9, 8 * 10 * 110 * 2])
def test_the_reference_is_the_dense_step_and_the_dense_flow(tiny, block, monkeypatch):
    monkeypatch.setattr("ngd_speed_parts.reference.ROWS", block)  # all rows at once, and two samples at a time
    G, g = dense(tiny)
    reference = Reference(tiny)
    for damping in (1e-3, 0.5):
        A = G.numpy() + damping * np.eye(len(g))
        settled = np.linalg.solve(A, g.numpy())
        np.testing.assert_allclose(reference.step(damping), settled, rtol=1e-8, atol=1e-10)
        flow = settled + linalg.expm(-3.0 * A) @ (g.numpy() - settled)
        np.testing.assert_allclose(reference.step(damping, 3.0), flow, rtol=1e-8, atol=1e-10)
        assert np.abs(reference.step(1.01 * damping).numpy() - settled).max() > 1e-4 * np.abs(settled).max()


def test_each_method_makes_the_step_that_it_claims(tiny):
    """In float64 to 1e-8; of a step with a wrong damping the error is large."""
    exact = {"explicit Jacobian, Woodbury", "NGD", "NGDWoodbury", "TNGD, 50 tau", "TNGD, 50 tau, N cells"}
    claimed = [method for method in METHODS if method.name in exact]
    assert len(claimed) == len(exact)
    claimed.append(Method("CG 300", partial(double_backward, steps=300), time=torch.inf))
    found = measure.errors(tiny, claimed)
    assert set(found) == {m.name for m in claimed}
    assert max(error for by_damping in found.values() for error in by_damping.values()) < 1e-8

    def wrong(task):
        task.damping *= 1.05
        return explicit_jacobian(task)

    assert min(measure.errors(tiny, [Method("wrong", wrong, time=torch.inf)])["wrong"].values()) > 1e-4


def test_conjugate_gradients_make_as_many_products_as_asked():
    rng = np.random.default_rng(0)
    X = torch.tensor(rng.standard_normal((30, 30)))
    A, g, count = X @ X.mT + torch.eye(30), torch.tensor(rng.standard_normal(30)), []

    def product(v):
        count.append(1)
        return A @ v

    x = conjugate_gradients(product, g, 12)
    assert len(count) == 12
    # the best of its Krylov space in the norm of A
    basis = torch.linalg.qr(torch.stack([torch.linalg.matrix_power(A / 100, k) @ g for k in range(12)], dim=1))[0]
    best = basis @ torch.linalg.solve(basis.mT @ A @ basis, basis.mT @ g)
    torch.testing.assert_close(x, best, rtol=1e-6, atol=1e-8)
    assert float(conjugate_gradients(product, torch.zeros(30, dtype=torch.float64), 5).norm()) == 0


def test_networks_have_the_parameters_that_their_names_say():
    for name, count in COUNTS.items():
        assert sum(p.numel() for p in network(name).parameters()) == count
    assert set(NETWORKS) == {*COUNTS, "MLP 10M"}
    for size in (10_000, 300_000):
        assert sum(p.numel() for p in network(f"N = {size}").parameters()) == pytest.approx(size, rel=0.05)


def test_turns_start_from_the_same_parameters_and_leave_them(tiny):
    seen = []

    def watching(task):
        def step():
            seen.append(task.parameters[0].detach().clone())
            with torch.no_grad():
                task.parameters[0].add_(1.0)
            return 0.0

        return step

    def broken(task):
        def step():
            raise RuntimeError("no such kernel\nand more")

        return step

    methods = [METHODS[0], Method("watching", watching), Method("broken", broken)]
    methods.append(Method("not yet", partial(ours, "base:NoSuchThing")))
    methods += [Method("absent", watching, package="no_such_package"), Method("large", watching, jacobians=1e9)]
    found = measure.taking_turns(tiny, methods, 3)
    assert all(torch.equal(one, tiny.start[0]) for one in seen)
    assert torch.equal(tiny.parameters[0], tiny.start[0])
    assert set(found["seconds"]) == {"Adam", "watching"}
    assert found["notes"]["broken"] == "no such kernel"
    assert found["notes"]["not yet"] == "thermograd.optim.optimizers.base has no NoSuchThing"
    assert found["notes"]["absent"] == "no_such_package is not installed"
    assert "GB" in found["notes"]["large"]


def test_whole_cycles_are_measured(tiny):
    """Of a step that is slow once in five, the mean is seen, not the usual one."""
    count = [0]

    def uneven(task):
        def step():
            count[0] += 1
            time.sleep(0.2 if count[0] % 5 == 0 else 0.04)
            return 0.0

        return step

    times = measure.taking_turns(tiny, [Method("uneven", uneven, cycle=5), METHODS[0]], 2)["seconds"]["uneven"]
    assert count[0] == 2 + 2 * 5
    assert min(times) > (0.2 + 4 * 0.04) / 5


def test_ratios_are_taken_within_a_round():
    times = {"Adam": [1.0, 2.0, 4.0], "other": [3.0, 6.0, None]}
    assert measure.ratios(times)["other"] == (3.0, 3.0, 3.0)  # though the machine became twice as slow
    assert measure.ratios(times)["Adam"][0] == 1.0


@given(st.floats(-2, 2), st.floats(1e-6, 1e3))
def test_exponents_of_power_laws(exponent, factor):
    sizes = [1e4, 3e4, 2e5, 1e7]
    found, error = measure.slope(sizes, [factor * size**exponent for size in sizes])
    assert found == pytest.approx(exponent, abs=1e-9)
    assert error < 1e-9


def test_the_error_of_an_exponent_is_its_spread_over_draws():
    rng = np.random.default_rng(1)
    sizes = np.geomspace(1e4, 1e7, 8)
    draws = [measure.slope(list(sizes), list(sizes**0.8 * np.exp(0.1 * rng.standard_normal(8)))) for _ in range(1500)]
    exponents, errors = np.array(draws).T
    spread = exponents.std()
    assert abs(exponents.mean() - 0.8) < 4 * spread / np.sqrt(1500)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(spread, rel=0.07)
    assert np.sqrt(np.mean(errors**2)) != pytest.approx(1.15 * spread, rel=0.07)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks cannot be set back on this system")
def test_memory_is_what_a_step_takes():
    """Of a step that fills 64 MiB, and of one that keeps nothing."""

    def filling(task, entries):
        return lambda: float(torch.ones(entries).sum())

    data = images(None)
    for mebibytes in (64, 0.01):
        method = Method("filling", partial(filling, entries=int(mebibytes * 2**18)))
        found = measure.memory("N = 1000", 8, data, "cpu", method)
        assert found == pytest.approx(mebibytes, abs=3)


def test_tables_say_what_was_left_out_and_where():
    column = {"parameters": 1000, "batch": 16, "notes": {"NGD": "would take 3 GB"}}
    columns = {
        "a": column | {"seconds": {"Adam": [0.001, 0.002], "SGD": [0.0005, 0.001]}, "errors": {}},
        "b": column | {"seconds": {"Adam": [0.001] * 2, "NGD": [0.1] * 2}, "notes": {}, "errors": {"NGD": {"0.001": 3.2e-7}}},
    }  # fmt: skip
    lines = report.networks(columns).splitlines()
    assert lines[0] == "| method | a (1,000) | b (1,000) |"
    assert lines[2] == "| Adam, ms | 1.5 (1.2 to 1.8) | 1 (1 to 1) |"
    assert "| SGD | 0.5 (0.5 to 0.5) | - |" in lines
    assert "| NGD | - | 100 (100 to 100) |" in lines
    assert "- left out, a: NGD: would take 3 GB" in lines
    assert "| NGD | 3.2e-7 / - |" in lines


def test_the_crossing_is_told_by_the_ratio():
    column = {
        "batch": 64,
        "notes": {},
        "seconds": {"Adam": [0.001] * 2, "Gram matrix": [0.01] * 2, "CG to 1e-4": [0.03] * 2},
    }
    lines = report.crossing(
        {"MLP": column, "CNN": column | {"seconds": {"Adam": [0.001], "Gram matrix": [0.01]}}}
    ).splitlines()
    assert lines[2] == "| MLP | 576 | 10 (10 to 10) | 30 (30 to 30) | 3 (3 to 3) |"
    assert lines[3] == "| CNN | 576 | 10 (10 to 10) | - | - |"


def test_a_page_takes_tables_between_its_markers_only():
    page = "before\n<!-- speed: growth -->\nold\n<!-- end -->\nbetween <!-- end -->\n"
    assert report.filled(page, "speed: growth", "new\n") == page.replace("old", "new")
    with pytest.raises(InputError, match="speed: memory"):
        report.filled(page, "speed: memory", "new\n")


def test_the_documentation_has_every_marker():
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    for section in ngd_speed.SECTIONS:
        assert "| new |" in report.filled(page, f"speed: {section}", "| new |\n")


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        (["--methods", "Adamm"], "Adamm"),
        (["--networks", "ResNet"], "ResNet"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--batch-sizes", "100000"], "100000"),
        (["--mnist", "none.npz"], "none.npz"),
        (["--docs", "none.md"], "none.md"),
    ],
)
def test_bad_arguments_are_named(given_, says):
    with pytest.raises(InputError, match=says):
        ngd_speed.main(given_)


@pytest.mark.long
def test_the_command_from_end_to_end(tmp_path, capsys, monkeypatch):
    page = tmp_path / "page.md"
    markers = [f"<!-- speed: {name} -->\n<!-- end -->\n" for name in ("networks", "growth")]
    page.write_text("".join(markers), encoding="utf-8")
    common = ["--device", "cpu", "--rounds", "1", "--out", str(tmp_path), "--docs", str(page)]
    common += ["--methods", "SGD", "CG 10, double backward"]
    ngd_speed.main([*common, "--networks", "N = 1000", "--threads", "1"])
    monkeypatch.setattr(ngd_speed, "in_process", lambda task, path: ngd_speed.worker(task))  # a process once is enough
    ngd_speed.main([*common, "--growth", "--sizes", "1000", "3000"])
    kept = json.loads((tmp_path / "ngd_speed.json").read_text(encoding="utf-8"))["cpu"]
    assert set(kept) == {"networks", "growth"}
    assert set(kept["growth"]["columns"]["N = 3000"]["seconds"]) == {"Adam", "SGD", "CG 10, double backward"}
    assert len(kept["networks"]["columns"]["N = 1000"]["seconds"]["SGD"]) == 1
    assert kept["networks"]["columns"]["N = 1000"]["errors"]["CG 10, double backward"]["0.01"] < 1
    assert (tmp_path / "ngd_speed.png").stat().st_size > 10_000
    for text in (page.read_text(encoding="utf-8"), (tmp_path / "ngd_speed.md").read_text(encoding="utf-8")):
        assert "| Adam, ms |" in text
        assert "exponent in N" in text
    assert "CG 10, double backward" in capsys.readouterr().out
