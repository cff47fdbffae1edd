"""benchmarks/optim/pinn_benchmarks.py: what its tables say of runs with known clocks, and the command from end to end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "optim"))  # scripts, not a package

import pinn_benchmarks  # noqa: E402
from pinn_benchmarks_parts.published import PUBLISHED  # noqa: E402
from pinn_benchmarks_parts.report import TARGETS, stamps, table  # noqa: E402
from pinn_benchmarks_parts.runs import Run  # noqa: E402


def run(seed, wall, errors):
    return Run("2d", "ngd", seed, 2, [10, 20, 30], wall, [2 * at for at in wall], errors, True)


def cells(text, row):
    return [cell.strip() for cell in text.splitlines()[row].strip("|").split("|")]


def test_tables_of_known_runs():
    """Error 1e-3 at 2, 4 and 6 s; two of three runs reach 1e-5, at 3 and 6 s; the worst never."""
    runs = [
        run(0, [1, 2, 3], [1e-1, 9e-4, 9e-6]),
        run(1, [2, 4, 6], [1e-1, 9e-4, 8e-6]),
        run(2, [3, 6, 9], [1e-1, 9e-4, 2e-5]),
    ]
    wall, processor, steps = (cells(table(runs), row) for row in (2, 3, 4))
    assert wall[3:6] == ["4 (6)", "6 (9)", "6 (-)"]
    assert wall[8:10] == ["9.0e-06 (2.0e-05)", "1.8e-05 (4.0e-05)"]  # the exact solution's root mean square is 1/2
    assert processor[3] == "8 (12)"
    assert steps[3:6] == ["20 (20)", "30 (30)", "30 (-)"]
    # at 5 s the first run is over, and the others are at their second evaluation
    assert cells(stamps(runs), 2)[2] == "5.0e-02 (1.0e-01)"


@pytest.mark.parametrize("preset", PUBLISHED)
def test_published_runs_fall_and_end_with_their_best(preset):
    for one in PUBLISHED[preset]:
        assert list(one.reached) == sorted(TARGETS, reverse=True)[: len(one.reached)]
        assert list(one.reached.values()) == sorted(one.reached.values())
        error, when = one.best
        assert all(error < target and when >= at for target, at in one.reached.items())


def test_the_command(tmp_path, capsys):
    """A run that is stored is not made again."""
    arguments = ["--problem", "2d", "--seeds", "0", "--threads", "1", "--clock", "processor", "--seconds", "0.3"]
    arguments += ["--out", str(tmp_path / "runs"), "--picture", str(tmp_path / "picture.png")]
    pinn_benchmarks.main(arguments)
    first = capsys.readouterr().out
    assert (tmp_path / "picture.png").stat().st_size > 0
    assert "published: ENGD, per layer" in first
    pinn_benchmarks.main(arguments)
    assert capsys.readouterr().out == first
