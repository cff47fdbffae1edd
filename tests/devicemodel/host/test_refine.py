"""Refined readings: the bound, what chopping cancels, what is counted, and the same die in SPICE and as a surrogate."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Device, Outcome, Solution, order_of
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host import loaded
from thermograd.devicemodel.host.kronecker_columns import KroneckerColumns
from thermograd.devicemodel.host.refine import Refined, settles, settling
from thermograd.devicemodel.systems import Dense, Implicit, Kronecker, LowRank

from ...systems import spd, true_card

FLOOR = 0.2


class LinearDie:
    """Solves, settled, a matrix each of whose entries is off by a normal share, and adds an offset and a quadratic term."""

    def __init__(self, share=0.01, offset=0.0, bend=0.0, seed=0, takes=(Dense, LowRank, Kronecker)):
        self.share, self.offset, self.bend, self.seed, self.takes = share, offset, bend, seed, takes
        self.calls = []

    def accepts(self, system):
        return isinstance(system, self.takes)

    def solve(self, system, b, duration, x0=None):
        if not self.accepts(system):
            raise InputError("not taken")
        self.calls.append((system, b, duration, x0))
        A = system.dense().double().numpy()
        off = np.random.default_rng([self.seed, len(A)]).standard_normal(A.shape)
        x = np.linalg.solve(A * (1 + self.share * off), b.double().numpy())
        x = x + self.offset * np.abs(b.double().numpy()).max() + self.bend * x**2
        return Solution(torch.from_numpy(x).to(b.dtype), Outcome.OK, 1e-6, 3, ("far off",))

    def evolve(self, duration):
        raise AssertionError("not asked to run on")

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Identity(LinearDie):
    """No die at all: reads the drive."""

    def solve(self, system, b, duration, x0=None):
        return Solution(b, Outcome.OK, 0.0)


def dense(n=10, condition=40.0, seed=0, dtype=torch.float64, spread=True):
    """A system of a diagonal that spreads, its floor the smallest eigenvalue, and a drive."""
    A = spd(n, condition, seed)
    if spread:
        d = np.random.default_rng([seed, 5]).uniform(0.5, 4.0, n)
        A = A * np.outer(d, d)
    floor = float(np.linalg.eigvalsh(A)[0]) * (1 - 1e-6)
    b = torch.from_numpy(np.random.default_rng([seed, 6]).standard_normal(n)).to(dtype)
    return Dense(torch.from_numpy(A).to(dtype), floor=floor), b


def matrix(system):
    """A in double precision, of the numbers that the system holds."""
    parts = {name: part.double() for name, part in vars(system).items() if isinstance(part, torch.Tensor)}
    return dataclasses.replace(system, **parts).dense()


def exact(system, b):
    return torch.linalg.solve(matrix(system), b.double())


def error(solution, system, b):
    return float((solution.x.double() - exact(system, b)).norm())


@st.composite
def systems(draw):
    seed, kind = draw(st.integers(0, 10**6)), draw(st.sampled_from(["dense", "low-rank", "weighted", "kronecker"]))
    generator = torch.Generator().manual_seed(seed)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def gram(n):
        J = normal(n, n + 1)
        return (J @ J.mT).to(dtype)

    if kind == "dense":
        n = draw(st.integers(1, 9))
        A = gram(n) * draw(st.floats(1e-2, 1e2))
        system = Dense(A + FLOOR * torch.eye(n, dtype=dtype), floor=FLOOR * 0.999)
    elif kind == "kronecker":
        system = Kronecker(gram(draw(st.integers(1, 3))), gram(draw(st.integers(1, 3))), FLOOR)
    else:
        k, n = draw(st.integers(1, 4)), draw(st.integers(1, 8))
        H = gram(k) - (0.01 * torch.eye(k, dtype=dtype) if kind == "weighted" else 0)
        system = LowRank(normal(k, n).to(dtype), H if kind == "weighted" else None, FLOOR)
    return system, normal(system.size).to(dtype)


@given(systems(), st.integers(0, 3), st.sampled_from(["richardson", "fcg"]), st.sampled_from([0.0, 0.01, 0.3]))
def test_the_bound_holds(problem, rounds, method, share):
    system, b = problem
    found = Refined(LinearDie(share), rounds=rounds, method=method).solve(system, b, math.inf)
    assert_bound_holds(found, system, b)


def assert_bound_holds(found, system, b):
    """Up to the rounding of the product, n eps |A| |x| over the floor."""
    bound = found.refinement.bound
    if bound is None:
        assert isinstance(system, LowRank)
        assert float(torch.linalg.eigvalsh(system.H)[0]) < 0
        return
    rounding = system.size * 1e-15 * float(matrix(system).norm()) * float(found.x.norm()) / (FLOOR / 2)
    assert error(found, system, b) <= bound * (1 + 1e-9) + 10 * rounding


def test_of_another_matrix_the_bound_fails(monkeypatch):
    """Negative control: fed the residual of another matrix the iteration is content, and the true error is beyond the bound."""
    system, b = dense()
    other, _ = dense(seed=8)
    monkeypatch.setattr(loaded, "product_with", lambda _: other.matvec)
    found = Refined(LinearDie(0.0), rounds=20, method="fcg", tolerance=1e-8).solve(system, b, math.inf)
    assert found.outcome is Outcome.OK
    with pytest.raises(AssertionError):
        assert_bound_holds(found, system, b)


def test_the_bound_is_met_where_the_error_is_along_the_floor():
    """One eigenvector of the floor's eigenvalue: the bound is no larger than it has to be."""
    system = Dense(torch.diag(torch.tensor([0.5, 3.0], dtype=torch.float64)), floor=0.5)
    b = torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = Refined(LinearDie(0.1), rounds=0).solve(system, b, math.inf)
    assert found.refinement.bound == pytest.approx(error(found, system, b), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounds_bring_the_error_down_to_the_numbers_own(dtype):
    system, b = dense(dtype=dtype)
    errors = [
        error(Refined(LinearDie(0.01), rounds=k).solve(system, b, math.inf), system, b) / float(exact(system, b).norm())
        for k in (0, 1, 2, 12)
    ]
    assert errors[1] < 0.3 * errors[0]
    assert errors[2] < 0.3 * errors[1]
    assert errors[3] < (1e-7 if dtype == torch.float32 else 1e-12)


def test_the_programmed_matrix_has_a_unit_diagonal_and_as_many_seconds():
    system, b = dense()
    die = LinearDie(0.0)
    found = Refined(die, rounds=0).solve(system, b, 3.0)
    (programmed, drive, duration, _), _ = die.calls
    largest = float(system.diagonal().max())
    np.testing.assert_allclose(programmed.diagonal(), 1.0, rtol=1e-12)
    assert duration == pytest.approx(3.0 * largest)
    assert programmed.floor == pytest.approx(system.floor / largest)
    assert programmed.floor <= float(torch.linalg.eigvalsh(programmed.A)[0])
    np.testing.assert_allclose(drive, b * system.diagonal().rsqrt())
    torch.testing.assert_close(found.x, exact(system, b))
    assert found.refinement.equilibrated


def test_a_scaled_matrix_that_a_fabric_cannot_hold_is_said_to_be_scaled():
    device, system = SurrogateDevice(true_card(preset("integrated"), "rc"), 1), Dense(torch.tensor(spd(3, 9.0, 1)))
    drive = torch.ones(3, dtype=torch.float64)
    with pytest.raises(UnrealisableError, match=r"^scaled to a unit diagonal.*entry \[\d, \d\]"):
        Refined(device).solve(system, drive, 9.0)
    with pytest.raises(UnrealisableError, match=r"^fabric rc"):
        Refined(device, equilibrate=False).solve(system, drive, 9.0)


def test_as_it_is_where_asked():
    system, b = dense()
    die = LinearDie(0.0)
    found = Refined(die, rounds=0, equilibrate=False, chopped=False).solve(system, b, 3.0)
    [(programmed, _, duration, x0)] = die.calls
    assert programmed is system
    assert duration == 3.0
    assert not x0.any()
    assert not found.refinement.equilibrated


def test_chopping_cancels_offsets_and_even_orders_and_nothing_else():
    system, b = dense(spread=False)
    scale = float(exact(system, b).norm())

    def off(chopped, **flaws):
        found = Refined(LinearDie(**flaws), rounds=0, chopped=chopped).solve(system, b, math.inf)
        return error(found, system, b) / scale

    for flaws in ({"share": 0.0, "offset": 0.1}, {"share": 0.0, "bend": 0.1}):
        assert off(False, **flaws) > 1e-2
        assert off(True, **flaws) < 1e-12
    assert off(True, share=0.01) == pytest.approx(off(False, share=0.01))


def test_chopping_halves_the_variance():
    system, b, n = Dense(torch.eye(1, dtype=torch.float64)), torch.zeros(1, dtype=torch.float64) + 1, 400
    limits = stats.chi2.ppf([1e-4, 1 - 1e-4], n) / n
    for chopped, expected in ((False, 1.0), (True, 0.5)):
        device = Refined(IdealDevice(kappa0=1e-2, seed=3), rounds=0, chopped=chopped)
        x = np.array([float(device.solve(system, b, math.inf).x) for _ in range(n)])
        ratio = ((x - 1) ** 2).mean() / (1e-2 * expected)
        assert limits[0] < ratio < limits[1]
        assert not limits[0] < ratio / 2 < limits[1]  # negative control


def test_the_second_run_starts_at_the_negative():
    system, b = dense()
    start = torch.ones_like(b)
    die = LinearDie()
    Refined(die, rounds=1, equilibrate=False).solve(system, b, 2.0, x0=start)
    starts = [x0 for *_, x0 in die.calls]
    torch.testing.assert_close(starts[0], start)
    torch.testing.assert_close(starts[1], -start)
    assert not starts[2].any()
    assert not starts[3].any()
    # In a run of no length the reading is the start: its mean is what was asked for.
    found = Refined(IdealDevice(), rounds=0).solve(system, b, 0.0, x0=start)
    torch.testing.assert_close(found.x, start)


def test_what_all_runs_took_is_counted():
    system, b = dense()
    die = LinearDie()
    found = Refined(die, rounds=2).solve(system, b, math.inf)
    assert len(die.calls) == 6
    assert found.attempts == 18
    assert found.seconds == pytest.approx(6e-6)
    assert found.violations == ("far off",)
    assert (found.refinement.rounds, found.refinement.products) == (2, 3)
    assert len({id(programmed) for programmed, *_ in die.calls}) == 1  # programmed once
    assert len({math.frexp(float(drive.abs().max()))[1] for _, drive, *_ in die.calls}) == 1  # driven as strongly


def test_plain_cg_without_a_die():
    """The control of every table: scipy's CG on the matrix of unit diagonal."""
    from scipy.sparse.linalg import cg

    system, b = dense(n=16, condition=20.0, spread=False)
    d = system.diagonal().rsqrt().numpy()
    for rounds in (0, 3, 7):
        found = Refined(Identity(), rounds=rounds, method="fcg").solve(system, b, math.inf)
        expected, _ = cg(system.A.numpy() * np.outer(d, d), d * b.numpy(), rtol=0.0, maxiter=rounds + 1)
        np.testing.assert_allclose(found.x.numpy(), d * expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_die_saves_at_least_half_of_the_products(seed):
    """Of those that the same protocol needs without a die: what it is good for. Both are counted, not assumed."""
    system, b = dense(n=24, condition=200.0, seed=seed)
    die = SurrogateDevice(true_card(preset("integrated")), die=seed)
    options = {"tolerance": 1e-4, "rounds": 60, "method": "fcg"}
    with_die = Refined(die, **options).solve(system, b, math.inf)
    without = Refined(Identity(), **options).solve(system, b, math.inf)
    assert with_die.outcome is without.outcome is Outcome.OK
    assert with_die.refinement.products <= without.refinement.products / 2
    assert without.refinement.products > 12


def test_a_die_with_more_damping_preconditions_what_it_cannot_hold():
    """Programmed as it is, the matrix is indefinite on this die; flexible CG goes on from one that is not."""
    system, b = dense(n=12, condition=3000.0, seed=4)

    def solved(**options):
        die = SurrogateDevice(true_card(preset("integrated")), die=2)
        return Refined(die, tolerance=1e-6, method="fcg", **options).solve(system, b, 1e4)

    assert solved().outcome is Outcome.UNSTABLE
    found = solved(added_damping=0.05)
    assert found.outcome is Outcome.OK
    assert error(found, system, b) <= found.refinement.bound
    generator = torch.Generator().manual_seed(0)
    J = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    for kind in (LowRank(J, None, 0.5), Kronecker(J @ J.mT, J @ J.mT, 0.5), Dense(J.mT @ J + torch.eye(7))):
        die = LinearDie()
        rhs = torch.ones(kind.size, dtype=torch.float64)
        Refined(die, equilibrate=False, added_damping=0.25).solve(kind, rhs, math.inf)
        more = die.calls[0][0].dense() - kind.dense()
        torch.testing.assert_close(more, 0.25 * torch.eye(kind.size, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["richardson", "fcg"])
def test_many_drives_are_refined_as_one_by_one(method):
    """Each stops by itself; one call of the device a round."""
    rng = np.random.default_rng(5)
    system = Dense(torch.from_numpy(spd(8, 30.0, 1)), floor=0.1)
    b = torch.from_numpy(rng.standard_normal((4, 8)) * np.array([[1.0], [1e-3], [0.0], [1e3]]))
    starts = torch.from_numpy(rng.standard_normal((4, 8)))
    refined = Refined(die := LinearDie(0.02), tolerance=1e-6, method=method)
    together = refined.solve_many(system, b, 20.0, starts)
    calls = len(die.calls)
    apart = [refined.solve(system, row, 20.0, start) for row, start in zip(b, starts, strict=True)]
    assert len({one.refinement.rounds for one in together}) > 1
    assert len(die.calls) == 2 * calls
    assert [one.refinement.programmings for one in together] == [1, 0, 0, 0]
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(one.x, other.x)
        one = dataclasses.replace(one, refinement=dataclasses.replace(one.refinement, programmings=0))
        assert (one.outcome, one.attempts, one.seconds, one.refinement) == (
            other.outcome, other.attempts, other.seconds, other.refinement
        )  # fmt: skip
    with pytest.raises(InputError, match="one drive a row"):
        refined.solve_many(system, b[0], 20.0)


def test_a_tolerance_is_kept_or_reported():
    system, b = dense()
    good = Refined(LinearDie(0.01), tolerance=1e-4).solve(system, b, math.inf)
    assert good.outcome is Outcome.OK
    assert good.refinement.residual <= 1e-4 < good.refinement.residuals[-2]
    few = Refined(LinearDie(0.01), rounds=1, tolerance=1e-9).solve(system, b, math.inf)
    assert few.outcome is Outcome.NOT_CONVERGED
    assert few.outcome.readable
    wrong = Refined(LinearDie(3.0, seed=2)).solve(system, b, math.inf)
    assert wrong.outcome is Outcome.NOT_CONVERGED
    assert wrong.refinement.residual >= 1


@pytest.mark.parametrize(
    ("readings", "tolerance", "outcome"),
    [
        ([Outcome.CLIPPED, Outcome.OK], 1e-6, Outcome.OK),
        ([Outcome.OFFSET_CLIPPED, Outcome.EXTRAPOLATED], 1e-6, Outcome.EXTRAPOLATED),
        ([Outcome.CLIPPED, Outcome.OFFSET_CLIPPED], None, Outcome.OFFSET_CLIPPED),
        ([Outcome.OK, Outcome.CLIPPED], None, Outcome.CLIPPED),
        ([Outcome.UNSTABLE], 1e-6, Outcome.UNSTABLE),
        ([Outcome.OK, Outcome.NOT_FINITE], None, Outcome.NOT_FINITE),
    ],
)
def test_a_residual_within_the_tolerance_outweighs_a_clipped_reading(readings, tolerance, outcome):
    class Scripted(LinearDie):
        def solve(self, system, b, duration, x0=None):
            found = super().solve(system, b, duration, x0)
            return Solution(found.x, readings[min(len(self.calls), len(readings)) - 1], 0.0)

    system, b = dense()
    found = Refined(Scripted(0.0), rounds=1, tolerance=tolerance).solve(system, b, math.inf)
    assert found.outcome is outcome


def test_kinds_that_cannot_be_scaled_are_programmed_as_they_are():
    generator = torch.Generator().manual_seed(0)
    J = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    b = torch.randn(7, generator=generator, dtype=torch.float64)
    system = LowRank(J, None, 0.5)
    for takes, programmed, equilibrated in (((Dense, LowRank), Dense, True), ((LowRank,), LowRank, False)):
        die = LinearDie(0.01, takes=takes)
        found = Refined(die, rounds=10).solve(system, b, math.inf)
        assert isinstance(die.calls[0][0], programmed)
        assert found.refinement.equilibrated is equilibrated
        torch.testing.assert_close(found.x, exact(system, b), rtol=1e-7, atol=1e-9)

    class Rows:
        shape, dtype = (3, 7), torch.float64
        gram = staticmethod(lambda: J @ J.mT)
        matvec = staticmethod(lambda v: J @ v)
        rmatvec = staticmethod(lambda u: J.mT @ u)

    found = Refined(IdealDevice(kappa0=1e-4, seed=0), rounds=6).solve(Implicit(Rows(), 0.5), b, math.inf)
    assert not found.refinement.equilibrated
    assert error(found, system, b) <= found.refinement.bound < 1e-6
    negative = Dense(torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64)))
    die = LinearDie(0.0)
    found = Refined(die, rounds=0).solve(negative, b[:2], math.inf)
    assert die.calls[0][0] is negative
    assert found.refinement.bound is None


def test_no_drive_has_no_solution_to_look_for():
    system, b = dense()
    die = LinearDie()
    found = Refined(die).solve(system, torch.zeros_like(b), math.inf)
    assert not found.x.any()
    assert (found.attempts, die.calls) == (0, [])


@pytest.mark.parametrize("refined", [False, True])
def test_a_matrix_that_is_written_to_is_programmed_again(refined):
    system, b = dense()
    device = SurrogateDevice(true_card(preset("integrated")), die=1, extrapolate=True)
    given = Refined(device, tolerance=1e-6) if refined else device
    before = given.solve(system, b, math.inf).x
    system.A.diagonal().add_(3.0)
    found = given.solve(system, b, math.inf)
    exact = torch.linalg.solve(system.A, b)
    assert float((found.x - exact).norm() / (before - exact).norm()) < (1e-5 if refined else 0.2)
    assert found.refinement is None or found.refinement.programmings == 1


def test_once_more_with_what_is_loaded():
    system, b = dense()
    device = Refined(LinearDie())
    with pytest.raises(InputError, match="call solve first"):
        device.evolve(1.0)
    first = device.solve(system, b, math.inf)
    torch.testing.assert_close(device.evolve(math.inf).x, first.x, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": -1}, "rounds is -1"),
        ({"rounds": 1.5}, "rounds is 1.5"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"rounds": True}, "rounds is True"),
        ({"tolerance": math.nan}, "tolerance is nan"),
        ({"tolerance": "1e-3"}, "tolerance is '1e-3'"),
        ({"chopped": "no"}, "chopped is 'no'"),
        ({"equilibrate": 0}, "equilibrate is 0"),
        ({"method": "cg"}, "richardson"),
        ({"added_damping": -1.0}, "damping"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        Refined(LinearDie(), **options)


def test_bad_input():
    system, b = dense()
    device = Refined(LinearDie())
    with pytest.raises(InputError, match="device is Refined"):
        Refined(device)
    with pytest.raises(InputError, match="give a device"):
        Refined(LinearDie)
    with pytest.raises(InputError, match="not taken"):
        device.solve("a matrix", b, 1.0)
    with pytest.raises(InputError, match=r"b is \(3,\)"):
        device.solve(system, b[:3], 1.0)
    with pytest.raises(InputError, match="x0"):
        device.solve(system, b, 1.0, x0=b[:3])
    with pytest.raises(InputError, match="duration"):
        device.solve(system, b, -1.0)
    with pytest.raises(InputError, match="lacks device"):
        device.load_state_dict({})


def test_drives_of_any_size_whose_residuals_have_squares():
    system, b = dense()
    device = Refined(IdealDevice(), rounds=1)
    wanted = device.solve(system, b, math.inf).x
    for size in (1e-120, 1e120):
        found = device.solve(system, size * b, math.inf)
        torch.testing.assert_close(found.x / size, wanted, rtol=1e-9, atol=0.0)
        assert found.refinement.bound > 0
    for size in (1e-165, 1e200):
        with pytest.raises(InputError, match="scale it"):
            device.solve(system, size * b, math.inf)


def test_settling_is_predicted_from_the_floor():
    assert math.exp(-0.1 * settling(0.1)) == pytest.approx(math.exp(-5.0))
    y = 0.1 * settling(0.01, 2)
    assert (1 + y) * math.exp(-y) == pytest.approx(math.exp(-5.0), rel=0.02)
    assert settling(0.0) == settling(0.0, 2) == math.inf
    assert settles(math.inf, 0.1)
    assert not settles(math.inf, 0.0)
    assert settles(22.5, 0.1, 2)
    assert not settles(22.4, 0.1, 2)


def test_oscillators_run_for_the_root_of_what_cells_of_first_order_do_and_settle_as_far():
    wide = torch.diag(torch.tensor([4.0, 30.0, 100.0], dtype=torch.float64))
    wide[0, 1] = wide[1, 0] = 1.0
    system, b = Dense(wide, floor=3.9), torch.ones(3, dtype=torch.float64)
    device = Refined(IdealDevice(tau=1.0, friction="critical"), rounds=0, tolerance=1e-3)
    assert order_of(device) == order_of(Refined(KroneckerColumns(device.device))) == 2
    # The floor of the whole is 3.9, of the unit diagonal 0.039: 9.3 slowest time constants either way.
    found = device.solve(system, b, 9.3 / math.sqrt(3.9))
    assert found.seconds == pytest.approx(2 * 9.3 / math.sqrt(3.9) * 10)
    assert found.outcome is Outcome.OK
    assert device.solve(system, b, 6.0 / math.sqrt(3.9)).outcome is Outcome.NOT_CONVERGED


@pytest.mark.parametrize("method", ["richardson", "fcg"])
def test_runs_of_oscillators_that_end_in_mid_swing_are_refined(method):
    """A round leaves exp(-gamma t / 2) (cos w t + gamma / 2 w sin w t) of a mode, negative where it has swung beyond."""
    values, friction, t = np.array([0.3, 1.0, 1.7]), 0.4, 2.5
    basis, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))
    system = Dense(torch.from_numpy(basis * values @ basis.T))
    w = np.sqrt(values - friction**2 / 4)
    left = np.exp(-friction * t / 2) * (np.cos(w * t) + friction / (2 * w) * np.sin(w * t))
    assert (left > 0).any()
    assert (left < -0.3).any()
    device = Refined(IdealDevice(friction=friction), rounds=12, method=method, equilibrate=False)
    residuals = device.solve(system, torch.from_numpy(basis.sum(axis=1)), t).refinement.residuals
    shares = np.sqrt([np.mean(left ** (2 * k)) for k in range(1, 14)])
    if method == "richardson":
        np.testing.assert_allclose(residuals, shares, rtol=1e-8)
    else:
        assert residuals[3] < 1e-10


def surrogate(die=1):
    return SurrogateDevice(true_card(preset("integrated")), die=die)


def test_a_resumed_device_goes_on_bit_for_bit():
    system, b = dense(n=6)
    other, drive = dense(n=6, seed=3)

    def ran():
        device = Refined(surrogate(), rounds=2)
        assert isinstance(device, Device)
        device.solve(system, b, 40.0)
        return device

    straight = ran()
    saved = straight.state_dict()
    expected = straight.solve(other, drive, 40.0)
    resumed = Refined(surrogate(), rounds=2)
    resumed.load_state_dict(saved)
    found = resumed.solve(other, drive, 40.0)
    assert torch.equal(found.x, expected.x)
    assert found.refinement == expected.refinement
    assert not torch.equal(Refined(surrogate(), rounds=2).solve(other, drive, 40.0).x, expected.x)  # another noise


def test_a_cascade_is_refined_by_its_factors():
    generator = torch.Generator().manual_seed(1)
    J = torch.randn(4, 30, generator=generator, dtype=torch.float64) / 5
    b = J.mT @ torch.randn(4, generator=generator, dtype=torch.float64)
    system = LowRank(J, None, 0.5)
    bare = CascadeDevice("integrated", die=1).solve(system, b, math.inf)
    found = Refined(CascadeDevice("integrated", die=1), rounds=3).solve(system, b, math.inf)
    assert error(found, system, b) < 0.05 * error(bare, system, b)
    assert error(found, system, b) <= found.refinement.bound


@pytest.mark.parametrize(("n", "condition", "die"), [(8, 20.0, 1), (8, 100.0, 2)])
def test_spice_and_surrogate_of_the_same_die_agree(n, condition, die):
    """ngspice's operating points in the loop. Both have the die's cells, converters and ADC noise; the laws differ by their residual."""
    system, b = dense(n, condition, seed=die)
    technology = preset("integrated")
    scale = float(exact(system, b).norm())
    spice = Refined(SpiceDevice(technology, die, johnson_noise=False), rounds=3).solve(system, b, math.inf)
    law = Refined(SurrogateDevice(true_card(technology.replace(thermal__johnson_noise=False)), die), rounds=3).solve(
        system, b, math.inf
    )
    bare = SpiceDevice(technology, die, johnson_noise=False).solve(system, b, math.inf)
    assert error(spice, system, b) < 1e-3 * scale
    assert error(law, system, b) < 1e-3 * scale
    assert error(bare, system, b) > 20 * error(spice, system, b)  # unrefined, the old failure
    for one, other in zip(spice.refinement.residuals[:2], law.refinement.residuals[:2], strict=True):
        assert one == pytest.approx(other, rel=0.5)
    for one in (spice, law):
        assert error(one, system, b) <= one.refinement.bound
    other_die = Refined(SpiceDevice(technology, die + 7, johnson_noise=False), rounds=0).solve(system, b, math.inf)
    assert float((spice.x - other_die.x).norm()) > 10 * float(
        (spice.x - law.x).norm()
    )  # negative control: another die reads otherwise
