"""One program for several systems: each is refined by its own residual, and programmed where that does not converge."""

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense, LowRank

from ...systems import spd, true_card
from .test_refine import LinearDie

N = 12


def drifting(k, size=0.002):
    """A system that changes by a share of itself from one to the next, and a drive."""
    change = spd(N, 30.0, 50)
    A = spd(N, 30.0, 1) + size * k * change
    rng = np.random.default_rng(k)
    return Dense(torch.from_numpy(A), floor=0.9), torch.from_numpy(rng.standard_normal(N))


def error(found, system, b):
    exact = torch.linalg.solve(system.dense(), b)
    return float((found.x - exact).norm() / exact.norm())


def test_every_third_system_is_programmed_and_each_is_solved():
    die = LinearDie(0.01)
    refined = Refined(die, tolerance=1e-6, program_every=3)
    for k in range(7):
        system, b = drifting(k)
        found = refined.solve(system, b, math.inf)
        assert found.outcome is Outcome.OK
        assert found.refinement.programmings == (k % 3 == 0)
        assert error(found, system, b) < 1e-4
        # Negative control: it is not the programmed system that is solved.
        if k % 3:
            assert error(found, drifting(k - k % 3)[0], b) > 1e-3
        again = refined.solve(system, b, math.inf)
        assert again.refinement.programmings == 0
    assert len({id(call[0]) for call in die.calls}) == 3


def test_an_old_program_takes_more_rounds():
    rounds = []
    for every in (1, 4):
        refined = Refined(LinearDie(0.001), rounds=30, tolerance=1e-6, program_every=every)
        found = [refined.solve(*drifting(k), math.inf).refinement.rounds for k in range(4)]
        rounds.append(found)
    assert rounds[0][0] == rounds[1][0]
    assert rounds[1][3] > rounds[1][1] > rounds[1][0]
    assert max(rounds[0]) < rounds[1][1]


@pytest.mark.parametrize("method", ["richardson", "fcg"])
def test_a_system_that_does_not_converge_is_programmed_after_all(method):
    """Another matrix altogether: what both programs took is counted."""
    die = LinearDie(0.01)
    refined = Refined(die, rounds=4, tolerance=1e-4, program_every=5, method=method)
    refined.solve(*drifting(0), math.inf)
    other = Dense(torch.from_numpy(100 * spd(N, 30.0, 9)), floor=90.0)
    b = torch.ones(N, dtype=torch.float64)
    found = refined.solve(other, b, math.inf)
    plain = Refined(LinearDie(0.01), rounds=4, tolerance=1e-4, method=method).solve(other, b, math.inf)
    assert found.outcome is Outcome.OK
    assert torch.equal(found.x, plain.x)
    assert found.refinement.programmings == 1
    assert found.refinement.products > plain.refinement.products
    assert found.attempts > plain.attempts
    assert found.refinement.residuals == plain.refinement.residuals
    # The new program serves the next ones.
    near = Dense(other.A * 1.01, floor=90.0)
    assert refined.solve(near, b, math.inf).refinement.programmings == 0


def test_what_an_old_program_may_take():
    """One round more than twice those of the system that it was made for."""
    refined = Refined(LinearDie(0.01), rounds=40, tolerance=1e-4, program_every=5)
    first = refined.solve(*drifting(0), math.inf).refinement
    far, b = drifting(1, 0.02)
    alone = Refined(LinearDie(0.01), rounds=40, tolerance=1e-4).solve(far, b, math.inf).refinement
    found = refined.solve(far, b, math.inf).refinement
    assert found.programmings == 1
    assert found.products == alone.products + 1 + (2 * first.rounds + 1)


def test_only_drives_that_do_not_converge_are_read_again():
    refined = Refined(LinearDie(0.01), rounds=3, tolerance=1e-3, program_every=2)
    refined.solve(*drifting(0), math.inf)
    system, b = drifting(1, 1.0)
    drives = torch.stack([b, 0 * b])
    found = refined.solve_many(system, drives, math.inf)
    assert [one.outcome for one in found] == [Outcome.OK, Outcome.OK]
    assert found[1].refinement.products == 0


def test_another_size_or_kind_is_programmed():
    refined = Refined(LinearDie(0.01), tolerance=1e-6, program_every=10)
    refined.solve(*drifting(0), math.inf)
    J = torch.from_numpy(np.random.default_rng(0).standard_normal((N, N)))
    for system in (LowRank(J, None, 1.0), Dense(torch.from_numpy(spd(5, 10.0, 1)))):
        found = refined.solve(system, torch.ones(system.size, dtype=torch.float64), math.inf)
        assert found.refinement.programmings == 1


def test_a_loaded_state_has_no_program():
    refined = Refined(LinearDie(0.01), tolerance=1e-6, program_every=10)
    refined.solve(*drifting(0), math.inf)
    refined.load_state_dict(refined.state_dict())
    assert refined.solve(*drifting(1), math.inf).refinement.programmings == 1


@pytest.mark.parametrize("every", [0, 1.5, True])
def test_a_bad_number_raises(every):
    with pytest.raises(InputError, match="program_every"):
        Refined(LinearDie(), program_every=every)


def test_a_batch_keeps_no_program():
    batch = DieBatch(true_card(preset("integrated")), [1, 2])
    with pytest.raises(InputError, match="program_every is 2 with a DieBatch"):
        Refined(batch, program_every=2)
