"""benchmarks/optim/curvature/oracle_fuzz.py: a slice of its cases, and its controls: a step 1e-4 off and a sample left out are found."""

import sys
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "optim" / "curvature")
)  # scripts, not a package

from oracle_fuzz import fuzz, table
from oracle_fuzz_parts.examine import examine

SEED = 0


@pytest.fixture(scope="module")
def slice_of_cases():
    return fuzz(seconds=60, seed=SEED, most=32)


def test_every_step_agrees_or_is_an_error_that_was_due(slice_of_cases):
    kinds = [result.kind for result in slice_of_cases]
    assert table(slice_of_cases).startswith(f"{len(kinds)} cases: ")
    assert kinds.count("agrees") >= 24
    assert [r for r in slice_of_cases if r.kind == "fault" or (r.kind == "words" and not r.expected)] == []


def test_the_same_cases_every_time(slice_of_cases):
    one = slice_of_cases[3]
    assert examine(SEED, 3) == one
    assert examine(SEED, 4).model != one.model


@pytest.mark.parametrize("control", ["off", "row"])
def test_a_deliberate_fault_is_found(control, slice_of_cases):
    """In float64, by direct solvers; "row" shows where the last sample has an influence, which masks take from some."""
    right = [
        r
        for r in slice_of_cases
        if r.kind == "agrees" and "float64" in r.model and "cg" not in r.solver and "masked" not in r.model
    ][:5]
    found = [examine(r.seed, r.place, control) for r in right]
    assert len(found) == 5
    assert all(r.kind == "fault" for r in found), table(found)
