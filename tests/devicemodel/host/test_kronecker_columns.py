"""Kronecker systems column by column: against the dense Kronecker matrix, the law of two runs, and what is counted."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Device, Outcome, Solution
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.kronecker_columns import KroneckerColumns, factored_damping
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense, Kronecker

from ...systems import kronecker, spd, true_card

P, Q, DAMPING = 3, 5, 0.1


def factors(seed=0):
    """Of unlike size and condition, neither of mean eigenvalue 1."""
    return 0.2 * spd(P, 30.0, seed), 3.0 * spd(Q, 100.0, seed + 1)


def drive(seed=0, n=P * Q):
    return torch.from_numpy(np.random.default_rng([seed, 3]).standard_normal(n))


def dense_factored(A, B, damping):
    """Martens' and Grosse's form, from arrays: (A + sqrt(damping) / pi) (x) (B + pi sqrt(damping))."""
    pi = math.sqrt((np.trace(B) / len(B)) / (np.trace(A) / len(A)))
    s = math.sqrt(damping)
    return np.kron(A + s / pi * np.eye(len(A)), B + pi * s * np.eye(len(B)))


def die(seed=1):
    return SurrogateDevice(true_card(preset("integrated")), die=seed, extrapolate=True)


def off(x, expected):
    expected = np.asarray(expected)
    return float(np.linalg.norm(x.double().numpy() - expected) / np.linalg.norm(expected))


def test_an_exact_device_solves_the_kronecker_system():
    (A, B), b = factors(), drive()
    found = KroneckerColumns(IdealDevice()).solve(kronecker(A, B), b, math.inf)
    assert off(found.x, np.linalg.solve(np.kron(A, B), b)) < 1e-12
    assert (found.outcome, found.attempts, found.refinement) == (Outcome.OK, P + Q, None)
    # Negative control: factors in the other order are another system.
    assert off(found.x, np.linalg.solve(np.kron(B, A), b)) > 0.1


def test_factored_damping_is_that_of_the_paper():
    A, B = factors()
    found = factored_damping(kronecker(A, B, DAMPING))
    np.testing.assert_allclose(found.dense(), dense_factored(A, B, DAMPING), rtol=1e-12)
    # Both factors have the same mean eigenvalue and the same floor.
    mean = [float(one.diagonal().mean()) for one in (found.A, found.B)]
    assert mean[0] == pytest.approx(mean[1], rel=1e-12)
    for one in (found.A, found.B):
        assert float(torch.linalg.eigvalsh(one)[0]) > math.sqrt(DAMPING)
    # It has more damping than the system, and that of a wrong pi is another.
    least = np.linalg.eigvalsh(found.dense().numpy() - np.kron(A, B) - DAMPING * np.eye(P * Q))[0]
    assert least > 0
    assert abs(found.dense().numpy() - dense_factored(A.T, B / 4, DAMPING)).max() > 0.1
    s = math.sqrt(DAMPING)
    assert abs(found.dense().numpy() - np.kron(A + s * np.eye(P), B + s * np.eye(Q))).max() > 0.1


def test_a_factor_of_zeros_is_damped_as_well():
    _, B = factors()
    found = factored_damping(kronecker(np.zeros((P, P)), B, DAMPING))
    s = math.sqrt(DAMPING)
    np.testing.assert_allclose(found.dense(), np.kron(s * np.eye(P), B + s * np.eye(Q)), rtol=1e-12)


@pytest.mark.parametrize("t", [0.0, 0.7, 20.0])
def test_a_finite_run_is_that_of_the_rows_and_then_of_the_columns(t):
    """Each run from the other's reading, the first from b: so t = 0 reads b."""
    (A, B), b = factors(), drive()

    def run(M, V):
        decay = expm(-M * t)
        return decay @ V + np.linalg.solve(M, (np.eye(len(M)) - decay) @ V)

    G = b.numpy().reshape(P, Q)
    expected = run(A, run(B, G.T).T)
    found = KroneckerColumns(IdealDevice()).solve(kronecker(A, B), b, t, x0=b)
    np.testing.assert_allclose(found.x.reshape(P, Q), expected, rtol=1e-9, atol=1e-12)
    from_zero = KroneckerColumns(IdealDevice()).solve(kronecker(A, B), b, t)
    assert bool(from_zero.x.any()) is (t > 0)


def test_each_column_of_a_die_is_refined():
    (A, B), b = factors(), drive()
    system = factored_damping(kronecker(A, B, DAMPING))
    expected = np.linalg.solve(dense_factored(A, B, DAMPING), b)
    bare = KroneckerColumns(die()).solve(system, b, 60.0)
    found = KroneckerColumns(Refined(die(), tolerance=1e-4)).solve(system, b, 60.0)
    assert found.outcome is Outcome.OK
    assert off(bare.x, expected) > 1e-2
    # The columns' errors are at most the residuals times their conditions.
    conditions = np.prod([np.linalg.cond(one) for one in (system.A, system.B)])
    assert off(found.x, expected) < min(2e-4 * conditions, 0.1 * off(bare.x, expected))
    assert found.refinement.residual <= 1e-4


class Poor(IdealDevice):
    """Solves, settled, a matrix each of whose entries is off by a normal share."""

    def __init__(self):
        super().__init__()
        self.programmed = []

    def solve(self, system, b, duration, x0=None):
        self.programmed.append((system.A, duration))
        off = torch.from_numpy(np.random.default_rng([7, system.size]).standard_normal(system.A.shape))
        x = torch.linalg.solve(system.A.double() * (1 + 0.03 * off), b.double()).to(b.dtype)
        return Solution(x, Outcome.EXTRAPOLATED, 1.0, 2, ("far off",), products=1)


def test_many_drives_share_the_programs():
    system = kronecker(*factors())
    b = torch.stack([drive(seed) for seed in range(3)])
    columns = KroneckerColumns(Poor())
    together = columns.solve_many(system, b, 20.0, torch.stack([b[0], 0 * b[1], b[2]]))
    assert columns.programmings == 2
    for one, row, start in zip(together, b, (b[0], None, b[2]), strict=True):
        alone = columns.solve(system, row, 20.0, start)
        assert torch.equal(one.x, alone.x)
        assert (one.attempts, one.seconds, one.violations) == (alone.attempts, alone.seconds, alone.violations)
        assert one.products == P + Q  # of the device's own host
    exact = KroneckerColumns(IdealDevice()).solve_many(system, b, 0.7, torch.stack([b[0], 0 * b[1], b[2]]))
    for one, row, start in zip(exact, b, (b[0], None, b[2]), strict=True):
        torch.testing.assert_close(one.x, KroneckerColumns(IdealDevice()).solve(system, row, 0.7, start).x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_factors_are_programmed_with_a_unit_diagonal_where_asked(dtype):
    (A, B), b = factors(), drive()
    system = Kronecker(*(torch.tensor(one, dtype=dtype) for one in (A, B)))
    device = Poor()
    found = KroneckerColumns(device, equilibrate=True).solve(system, b.to(dtype), 20.0)
    assert found.x.dtype == dtype
    for (matrix, duration), whole in zip((device.programmed[0], device.programmed[-1]), (B, A), strict=True):
        np.testing.assert_allclose(matrix.diagonal(), 1.0, rtol=1e-6)
        assert duration == pytest.approx(20.0 * whole.diagonal().max(), rel=1e-6)
    exact = KroneckerColumns(IdealDevice(), equilibrate=True).solve(system, b.to(dtype), math.inf)
    assert off(exact.x, np.linalg.solve(np.kron(A, B), b)) < (1e-4 if dtype == torch.float32 else 1e-10)


def test_all_columns_are_counted():
    """As of runs of single columns, on a device that answers the same in any order."""
    (A, B), b = factors(), drive()
    refined = Refined(Poor(), tolerance=1e-4)
    found = KroneckerColumns(refined).solve(kronecker(A, B), b, 60.0)
    Y, parts = b.reshape(P, Q), []
    for matrix in (Dense(torch.from_numpy(B)), Dense(torch.from_numpy(A))):
        solved = [refined.solve(matrix, row, 60.0) for row in Y]
        Y, parts = torch.stack([one.x for one in solved]).mT, [*parts, *solved]
    assert torch.equal(found.x, Y.reshape(-1))
    assert (found.outcome, found.violations) == (Outcome.EXTRAPOLATED, ("far off",))
    assert found.attempts == sum(one.attempts for one in parts)
    assert found.seconds == pytest.approx(sum(one.seconds for one in parts))
    refinement = found.refinement
    assert refinement.products == sum(one.refinement.products for one in parts)
    assert refinement.programmings == 2
    assert refinement.rounds == max(one.refinement.rounds for one in parts) > 1
    assert refinement.residual == max(one.refinement.residual for one in parts) <= 1e-4
    assert list(refinement.residuals) == sorted(refinement.residuals, reverse=True)


class NoDie(IdealDevice):
    """Reads what it is driven with."""

    def solve(self, system, b, duration, x0=None):
        return Solution(b, Outcome.OK, 0.0)


def test_a_die_by_columns_preconditions_the_damped_system():
    """To 1e-6, with at most half of the products that conjugate gradients need without a die."""
    A, B, damping = spd(6, 100.0, 1), spd(8, 100.0, 2), 0.3
    system, b = kronecker(A, B, damping), drive(n=48)
    expected = np.linalg.solve(np.kron(A, B) + damping * np.eye(48), b)
    columns = KroneckerColumns(die(), factored_damping=True, equilibrate=True)
    found = Refined(columns, rounds=48, tolerance=1e-6, method="fcg").solve(system, b, 100.0)
    # Two programs a reading, which serve both signs.
    assert columns.programmings == 2 * len(found.refinement.residuals)
    plain = Refined(NoDie(), rounds=400, tolerance=1e-6, method="fcg").solve(system, b, 1.0)
    assert found.outcome is plain.outcome is Outcome.OK
    assert found.refinement.residual < 1e-6
    assert off(system.matvec(found.x), b) < 1e-6
    assert off(found.x, expected) < 1e-2
    assert 2 * found.refinement.products <= plain.refinement.products
    # By itself, even an exact device answers with another system's solution.
    alone = KroneckerColumns(IdealDevice(), factored_damping=True).solve(system, b, math.inf)
    assert off(alone.x, np.linalg.solve(dense_factored(A, B, damping), b)) < 1e-10
    assert off(alone.x, expected) > 0.05


def test_what_fails_is_told():
    class Unstable(IdealDevice):
        def solve(self, system, b, duration, x0=None):
            return Solution(b, Outcome.UNSTABLE if system.size == Q else Outcome.OK, 1.0, 2, ("far off",))

    found = KroneckerColumns(Unstable()).solve(kronecker(*factors()), drive(), 5.0)
    assert (found.outcome, found.attempts, found.seconds) == (Outcome.UNSTABLE, 2 * P, P)
    assert found.violations == ("far off",)
    refined = KroneckerColumns(Refined(Unstable())).solve(kronecker(*factors()), drive(), 5.0)
    assert refined.outcome is Outcome.UNSTABLE
    assert refined.refinement.residual == math.inf


def test_a_column_without_drive_and_single_precision():
    (A, B), b = factors(), drive().reshape(P, Q)
    b[1] = 0
    system = factored_damping(Kronecker(*(torch.tensor(one, dtype=torch.float32) for one in (A, B)), DAMPING))
    found = KroneckerColumns(Refined(die(), tolerance=1e-3)).solve(system, b.flatten().float(), 60.0)
    assert found.x.dtype == torch.float32
    assert off(found.x, np.linalg.solve(dense_factored(A, B, DAMPING), b.flatten())) < 1e-2


def test_a_resumed_device_goes_on_bit_for_bit():
    system, b = factored_damping(kronecker(*factors(), DAMPING)), drive()
    device = KroneckerColumns(Refined(die(), rounds=1))
    device.solve(system, b, 20.0)
    state = device.state_dict()
    after = device.solve(system, b, 20.0)
    resumed = KroneckerColumns(Refined(die(), rounds=1))
    resumed.load_state_dict(state)
    assert torch.equal(resumed.solve(system, b, 20.0).x, after.x)
    assert not torch.equal(KroneckerColumns(Refined(die(), rounds=1)).solve(system, b, 20.0).x, after.x)


def test_bad_input():
    (A, B), b = factors(), drive()
    device = KroneckerColumns(IdealDevice())
    assert isinstance(device, Device)
    assert device.accepts(kronecker(A, B))
    assert not device.accepts(Dense(torch.from_numpy(A)))
    with pytest.raises(InputError, match="cannot be solved column by column"):
        device.solve(kronecker(A, B, DAMPING), b, 1.0)
    with pytest.raises(InputError, match="Kronecker"):
        device.solve(Dense(torch.from_numpy(A)), b[:P], 1.0)
    with pytest.raises(InputError, match="x0"):
        device.solve(kronecker(A, B), b, 1.0, x0=b[:2])
    with pytest.raises(InputError, match="solve once more"):
        device.evolve(1.0)
    with pytest.raises(InputError, match="lacks device"):
        device.load_state_dict({})
    with pytest.raises(InputError, match="takes no Dense"):
        KroneckerColumns(CascadeDevice("integrated", die=1))
    with pytest.raises(InputError, match="give a device"):
        KroneckerColumns(IdealDevice)
    with pytest.raises(InputError, match="a number > 0"):
        factored_damping(kronecker(A, B))
