"""Trainings that are killed with SIGKILL again and again end, to the bit, where those without a kill do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .killed_trainings import CASES, EVERY, FORGETFUL, STEPS


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the killed trainings say, of a process of their own."""
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed_trainings.py")), str(folder)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_ends_where_one_without_a_kill_does(found, case):
    one = found[case]
    assert len(one["died"]) >= 2
    began, died = one["began"], one["died"]
    assert began[0] == 0
    for step, start in zip(died, began[1:], strict=True):  # a kill in the middle of a save too
        assert 0 <= step + 1 - start <= EVERY
    assert one["left"] == []  # halves of checkpoints are cleared away
    assert len(one["whole"]["loss"]) == STEPS
    if case == FORGETFUL:
        assert one["torn"]["loss"] != one["whole"]["loss"]
    else:
        assert one["torn"] == one["whole"]
