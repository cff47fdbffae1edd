"""A board on a serial line, behind a pseudo-terminal: faults of the line, and a training that is interrupted by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import thermograd as tg
from thermograd.devicemodel import BoardError, MeasuredDevice, Outcome
from thermograd.optim.tasks.task import Plan, Score, Task

from ...examples.test_examples import load

A = torch.tensor(
    [[2.0, 0.5, 0.0, -0.3], [0.5, 1.5, 0.4, 0.0], [0.0, 0.4, 1.2, 0.3], [-0.3, 0.0, 0.3, 1.0]], dtype=torch.float64
)
b = torch.tensor([1.0, -0.5, 0.2, 0.8], dtype=torch.float64)
TIMEOUT = 2.0
"""s: long beside a busy machine, since a reply that is merely late counts as a fault."""


class Bench:
    """The stub and its driver; noise-free, so that a run can be repeated."""

    def __init__(self) -> None:
        example = load("board_over_serial")
        self.stub = example.StubBoard(noise=0.0)
        self.driver = example.SerialBoard(self.stub.port, TIMEOUT)
        self.device = MeasuredDevice(self.driver)

    def close(self) -> None:
        self.driver.close()
        self.stub.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("silent", "0 bytes within 2 s after R"),
        ("short", "a line without its checksum"),
        ("garbled", "a line without its checksum"),
        ("nan", "cell 1 reads nan"),
        ("far", "beyond its range of 2 V"),
    ],
)
def test_a_broken_reply_is_asked_for_again_and_kept_in_mind(bench: Bench, fault: str, words: str) -> None:
    """The fourth reply is the first reading: after ID, the program and the drive."""
    clean = bench.device.solve(tg.Dense(A), b, 50.0)
    assert bench.device.faults == ()
    bench.stub.faults.extend(["", "", fault])
    found = bench.device.solve(tg.Dense(A.clone()), b, 50.0)
    assert found.outcome is Outcome.OK
    torch.testing.assert_close(found.x, clean.x, rtol=0, atol=0)
    [kept] = bench.device.faults
    assert words in kept


def test_a_line_that_stays_broken_ends_in_words_that_name_the_port(bench: Bench) -> None:
    bench.stub.faults.extend(["garbled"] * 9)
    with pytest.raises(BoardError, match=f"stub-1 at {bench.stub.port}: program failed 3 times, .*checkpoint"):
        bench.device.solve(tg.Dense(A), b, 50.0)


def test_after_a_failure_the_board_is_programmed_again(bench: Bench) -> None:
    """The second matrix came through, and only the replies were broken; the first one is asked for once more."""
    first, second = tg.Dense(A), tg.Dense(A + torch.eye(4, dtype=torch.float64))
    clean = bench.device.solve(first, b, 50.0)
    bench.stub.faults.extend(["garbled"] * 3)
    with pytest.raises(BoardError):
        bench.device.solve(second, b, 50.0)
    torch.testing.assert_close(bench.device.solve(first, b, 50.0).x, clean.x, rtol=0, atol=0)


class Line(Task):
    """Four points of a line."""

    name, plan = "line", Plan(steps=6, batch=None, evaluate_every=6, settings={})
    dtype, score = torch.float64, Score("loss", more_is_better=False, target=0.0)

    def model(self) -> torch.nn.Module:
        return torch.nn.Linear(2, 1).double()

    def closure(self, model: torch.nn.Module, step: int, batch: int | None, seed: int) -> Any:
        x = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        return lambda: (((out := model(x)) - x.sum(1, keepdim=True)).square().mean() / 2, out)

    def evaluate(self, model: torch.nn.Module) -> float:
        return sum(float(p.detach().square().sum()) for p in model.parameters())


def test_a_training_survives_the_board_being_unplugged(tmp_path: Path) -> None:
    """After the fourth of six steps, of which each has been saved: resumed on the board when it is back, it ends as if nothing had been."""

    def trained(bench: Bench, name: str) -> tg.optim.History:
        settings = {"lr": 0.5, "damping": 0.1, "duration": 100.0, "reading": "refined"}
        return tg.train(
            Line(), "tngd", device=bench.device, settings=settings, checkpoint=tmp_path / name, checkpoint_every=1
        )

    first = Bench()
    whole = trained(first, "whole.pt")
    replies = first.stub.replies
    first.close()
    second = Bench()
    second.stub.faults.extend([""] * (2 * replies // 3) + ["gone"])
    with pytest.raises(BoardError, match=f"is gone during .* permissions of {second.stub.port}"):
        trained(second, "cut.pt")
    second.close()
    assert (tmp_path / "cut.pt").is_file()
    third = Bench()
    resumed = trained(third, "cut.pt")
    assert third.stub.replies < replies
    third.close()
    assert resumed.loss == whole.loss
