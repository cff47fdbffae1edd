"""The factored device against the fabric's admittance, matrix exponentials and ngspice; a die's arrays, and that they are never stored."""

import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.constants import Boltzmann
from scipy.linalg import expm, solve_continuous_lyapunov

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import OperatingPoint, Transient
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_system
from thermograd.compiler.fabrics.cascade import Factored
from thermograd.compiler.fabrics.cascade_parts import FactoredParts
from thermograd.compiler.fabrics.cascade_places import FIRST, LAST
from thermograd.devicemodel.cascade import low_rank_dynamics
from thermograd.devicemodel.cascade.cells import StandardDeviations
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.cascade.low_rank_array import LowRankArray
from thermograd.devicemodel.cascade.low_rank_dynamics import LowRankDynamics
from thermograd.devicemodel.device import Device, Outcome
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.systems import Dense, LowRank

from ...systems import true_card

IDEAL = preset("ideal")
INTEGRATED = preset("integrated")
TIMES = [0.01, 1.0, 10.0, 90.0, 1e3, math.inf]


def system_of(n=20, k=4, core=True, damping=0.5, seed=1):
    rng = np.random.default_rng([seed, n, k])
    half = rng.standard_normal((k, k))
    H = torch.tensor(half @ half.T / k) if core else None
    return LowRank(torch.tensor(rng.standard_normal((k, n))), H, damping)


def array_of(system, sigma=0.01, offset=1e-3, die=5, technology=IDEAL, **options):
    return LowRankArray(system, Die(technology, die), StandardDeviations(sigma, sigma, offset), **options)


def parts_of(array):
    """The array's parts as the compiler's record, with every conductance stored."""
    every = slice(0, array.size)
    middle = [] if array.middle is None else [array.middle]
    arrays = [array.conductances(FIRST, every), *middle, array.conductances(LAST, every).T]
    return FactoredParts(
        arrays=tuple(sparse.csr_array(values) for values in arrays),
        feedback=tuple(array.feedback),
        damping=array.damping,
        drive=array.drive,
        capacitance=array.capacitance,
        drive_nominal=array.drive_nominal,
    )


def dense_law(array, leak):
    """(F, drive that offsets give) in 1/tau and V/tau, from the fabric's admittance and, stage by stage, Kirchhoff's law."""
    parts, technology = parts_of(array), IDEAL.replace(opamp__gain=1 / leak if leak else math.inf)
    static = np.real(Factored().admittance(parts, technology, 0.0))
    passed = np.zeros(array.rows)
    for values, feedback, volts in zip(parts.arrays[:-1], parts.feedback, array.stage_offsets, strict=True):
        load = abs(values).sum(axis=1) + feedback
        signal = values @ passed if passed.any() else 0.0
        passed = (signal + load * volts) / (feedback + leak * load)
    load = np.asarray(abs(parts.arrays[-1]).sum(axis=1)).ravel() + parts.damping + parts.drive
    pull = array.tau / (parts.capacitance * (1 + leak))
    return -pull[:, None] * static, pull * (load * array.offset - parts.arrays[-1] @ passed)


def dense_motion(F, u, start, t):
    if math.isinf(t):
        return -np.linalg.solve(F, u)
    whole = np.block([[F, u[:, None]], [np.zeros((1, len(u) + 1))]])
    return (expm(whole * t) @ np.append(start, 1.0))[:-1]


def both_motions(system, t, leak=1e-3, **options):
    array = array_of(system, **options)
    law = LowRankDynamics(array, leak)
    t = t * 2.0**array.exponent
    rng = np.random.default_rng(2)
    currents, start = 0.1 * array.drive_nominal * rng.standard_normal(array.size), rng.standard_normal(array.size)
    F, u = dense_law(array, leak)
    u = u + array.tau / law.effective_capacitance * currents * array.drive / array.drive_nominal
    return law.motion(currents, start, t), dense_motion(F, u, start, t)


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("core", [True, False])
@pytest.mark.parametrize("damping", [0.02, 1.0])
def test_mean_is_that_of_the_dense_law(t, core, damping):
    motion, exact = both_motions(system_of(core=core, damping=damping), t)
    error = np.linalg.norm(motion.volts - exact)
    assert error < 1e-9 * (1 + np.linalg.norm(exact))
    assert math.isfinite(motion.bound)
    assert error < motion.bound + 1e-12 * (1 + np.linalg.norm(exact))
    # Negative control: another die.
    other, _ = both_motions(system_of(core=core, damping=damping), t, die=6)
    assert np.linalg.norm(other.volts - exact) > 1e-6


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 12),
    k=st.integers(1, 12),
    core=st.booleans(),
    damping=st.floats(0.01, 10.0),
    sigma=st.floats(0.0, 0.02),
    leak=st.floats(1e-8, 1e-3),
    t=st.floats(1e-3, 1e3),
    seed=st.integers(0, 2**32),
)
def test_any_system_moves_as_the_dense_law_does(n, k, core, damping, sigma, leak, t, seed):
    system = system_of(n, k, core, damping, seed)
    motion, exact = both_motions(system, t, leak, sigma=sigma, die=seed)
    error = np.linalg.norm(motion.volts - exact)
    assert error < 1e-8 * (1 + np.linalg.norm(exact))
    # The bound is that of the method; the matrix exponential that it is held against loses digits with |F| t, up to some 1e4 here.
    assert error < motion.bound + 1e-10 * (1 + np.linalg.norm(exact))


@pytest.mark.parametrize(("name", "few"), [("NODES", 4), ("NODES", 8), ("POLYNOMIALS", 2), ("POLYNOMIALS", 4)])
def test_the_bound_holds_where_the_error_is_far_above_rounding(monkeypatch, name, few):
    monkeypatch.setattr(low_rank_dynamics, name, few)
    for t in (1.0, 10.0):
        motion, exact = both_motions(system_of(), t, sigma=0.002 if name == "NODES" else 0.01)
        error = np.linalg.norm(motion.volts - exact)
        assert 1e-9 < error < motion.bound


@settings(max_examples=30, deadline=None)
@given(k=st.integers(1, 8), scale=st.floats(1e-150, 1e150), seed=st.integers(0, 2**32))
def test_norms_are_bounded_from_above_and_closely(k, scale, seed):
    rng = np.random.default_rng(seed)
    X = scale * (rng.standard_normal((3, k, k)) + 1j * rng.standard_normal((3, k, k)))
    exact, found = np.linalg.norm(X, 2, axis=(1, 2)), low_rank_dynamics.spectral_bound(X)
    assert (exact <= found * (1 + 1e-12)).all()
    assert (found <= exact * k ** (1 / 32) * (1 + 1e-12)).all()


def test_stage_outputs_are_those_of_the_state():
    system = system_of()
    array = array_of(system, offset=0.0)
    motion = LowRankDynamics(array, 0.0).motion(np.zeros(array.size), np.ones(array.size), 2.0)
    first = array.conductances(FIRST, slice(0, array.size)) @ motion.volts / array.feedback[0]
    np.testing.assert_allclose(motion.stages, np.r_[first, array.middle @ first / array.feedback[1]], atol=1e-10)


@pytest.mark.parametrize("core", [True, False])
@pytest.mark.parametrize("t", [0.7, math.inf])
def test_nominal_parts_are_those_of_the_compiled_netlist_in_ngspice(core, t):
    technology = IDEAL.replace(opamp__gain=300.0)
    system = system_of(6, 3, core)
    b, x0 = (torch.tensor(np.random.default_rng(seed).standard_normal(6)) for seed in (3, 4))
    program = compile_system(system, "factored", technology)
    netlist = program.netlist(b.numpy(), x0.numpy())
    analysis = OperatingPoint(nodes=program.nodes)
    if not math.isinf(t):
        analysis = Transient(t * program.tau, nodes=program.nodes, tolerance=1e-6)
    voltages = run(netlist, analysis).voltages
    if math.isinf(t):
        circuit = program.decode(voltages)
    else:
        circuit = program.decode({node: values[-1] for node, values in voltages.items()})
    device = CascadeDevice(technology)
    found = device.solve(system, b, t, x0=x0).x.numpy()
    assert device.tau == pytest.approx(program.tau, rel=1e-12)
    assert np.linalg.norm(found - circuit) < 2e-5 * np.linalg.norm(circuit)
    # Negative control: what a finite gain takes is far more than that.
    perfect = CascadeDevice(IDEAL).solve(system, b, t, x0=x0).x.numpy()
    assert np.linalg.norm(perfect - circuit) > 1e-3 * np.linalg.norm(circuit)


def test_mismatch_has_the_pairs_deviation_and_the_two_arrays_have_their_own():
    system, every = system_of(4000, 5, core=False), slice(0, 4000)
    array, nominal = array_of(system, sigma=0.02), array_of(system, sigma=0.0).conductances(FIRST, every)
    found = np.stack([np.log(array.conductances(which, every) / nominal) for which in (FIRST, LAST)])
    count, sd = found[0].size, 0.02 / math.sqrt(2)
    for one in found:
        assert one.std() == pytest.approx(sd, rel=4 / math.sqrt(2 * count))  # standard error of a deviation
        assert one.mean() == pytest.approx(0.0, abs=4 * sd / math.sqrt(count))
    # The whole array against the other, rows against rows, cells against cells.
    assert abs(np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1]) < 4 / math.sqrt(count)
    assert abs(np.corrcoef(found[0, 0], found[0, 1])[0, 1]) < 4 / math.sqrt(4000)
    assert abs(np.corrcoef(found[0, 0, 1:], found[0, 0, :-1])[0, 1]) < 4 / math.sqrt(4000)
    # Negative control: the deviation of a single resistor is told from that of a pair.
    assert abs(found[0].std() / 0.02 - 1) > 4 / math.sqrt(2 * count)


def antisymmetric(array):
    """|A - A^T|^2 of the product of the arrays, in units of nominal conductances."""
    first, last = (array.conductances(which, slice(0, array.size)) for which in (FIRST, LAST))
    product = last.T @ first
    return float(((product - product.T) ** 2).sum())


def test_unlike_arrays_make_the_drift_unsymmetric_by_what_their_deviates_say():
    """First order: <|A - A^T|^2> = 4 s^2 [sum_r (sum_i J_ri^2)^2 - sum J_ri^4], s the deviation of a pair."""
    system, sigma = system_of(40, 3, core=False), 0.005
    squares = array_of(system, sigma=0.0).conductances(FIRST, slice(0, 40)) ** 2
    law = 2 * sigma**2 * ((squares.sum(axis=1) ** 2).sum() - (squares**2).sum())
    dies = [array_of(system, sigma=sigma, die=die) for die in range(60)]
    found = np.array([antisymmetric(array) for array in dies])

    def fits(values):
        return abs(values.mean() / law - 1) < 4 * found.std() / law / math.sqrt(len(values)) + sigma

    assert fits(found)
    # Negative control: one set of deviates for both arrays.
    for array in dies:
        made = array.conductances
        array.conductances = lambda which, cells, made=made: made(FIRST, cells)
    assert not fits(np.array([antisymmetric(array) for array in dies]))


@settings(max_examples=10, deadline=None)
@given(die=st.integers(0, 2**63), block=st.integers(1, 200))
def test_a_die_is_the_same_however_it_is_cut_into_blocks(die, block):
    system = system_of(17, 3)
    whole, cut = array_of(system, die=die), array_of(system, die=die, block=block)
    for which in (FIRST, LAST):
        parts = [cut.conductances(which, cells) for cells in cut.blocks()]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole.conductances(which, slice(0, 17)))
    drive, start = np.zeros(17), np.ones(17)
    ends = [LowRankDynamics(array, 1e-3).motion(drive, start, 2.0).volts for array in (whole, cut)]
    np.testing.assert_allclose(ends[1], ends[0], rtol=0, atol=1e-11)


def test_more_cells_leave_the_ones_before_as_they_are():
    wide = system_of(30, 3)
    found = []
    for system in (wide, LowRank(wide.J[:, :12], wide.H, wide.damping)):
        every = slice(0, system.size)
        nominal = array_of(system, sigma=0.0)
        found.append(np.log(array_of(system).conductances(LAST, every) / nominal.conductances(LAST, every)))
    np.testing.assert_allclose(found[1], found[0][:, :12], atol=1e-14)


class Unit:
    """A generator whose normals are all 0 but one: what a linear map makes of it is one of its columns."""

    def __init__(self, which):
        self.which = which

    def standard_normal(self, count):
        drawn = np.zeros(count)
        if 0 <= self.which < count:
            drawn[self.which] = 1.0
        self.which -= count
        return drawn


def drawn_covariance(law, t):
    columns = [law.fluctuation(t, Unit(i)) for i in range(law.array.size + law.array.rows)]
    return sum(np.outer(column, column) for column in columns)


def dense_covariance(array, leak, t, summing=True):
    """int exp(F s) Q exp(F s)^T ds by Lyapunov's equation, Q from the resistors of each stage."""
    F, _ = dense_law(array, leak)
    parts, k = parts_of(array), array.rows
    density = 4 * Boltzmann * array.die.ambient
    into = np.zeros((k, k))
    for values, feedback in zip(parts.arrays[:-1], parts.feedback, strict=True):
        load = abs(values).sum(axis=1) + feedback
        gain = 1 / (feedback + leak * load)
        carried = np.zeros((k, k)) if values.shape[1] != k or not into.any() else values @ into @ values.T
        into = gain[:, None] * (carried + np.diag(density * load)) * gain
    last = parts.arrays[-1].toarray()
    load = np.abs(last).sum(axis=1) + parts.damping + parts.drive
    current = np.diag(density * load) + (last @ into @ last.T if summing else 0.0)
    pull = 1 / (parts.capacitance * (1 + leak))
    Q = array.tau * pull[:, None] * current * pull
    settled, left = solve_continuous_lyapunov(F, -Q), expm(F * t)
    return settled - left @ settled @ left.T


@pytest.mark.parametrize("core", [True, False])
@pytest.mark.parametrize("t", [0.3, 4.0])
def test_noise_has_the_covariance_of_all_resistors(core, t):
    system = system_of(9, 3, core)
    array = LowRankArray(system, Die(IDEAL, 5), StandardDeviations(0.02, 0.0, 0.0))
    # With unlike arrays, but damping and capacitors alike, the law is exact.
    array.damping = np.full(9, array.unit * 0.5)
    leak = 1e-8  # the fabric's own idea of an ideal amplifier
    found, exact = drawn_covariance(LowRankDynamics(array, leak, 1.0), t), dense_covariance(array, leak, t)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5 * scale)
    # Negative control: the cells' own resistors alone.
    assert np.abs(dense_covariance(array, leak, t, summing=False) - exact).max() > 0.01 * scale


def test_scatter_of_the_damping_costs_the_noise_no_more_than_itself():
    system = system_of(9, 3)
    array = array_of(system, sigma=0.02)
    law = LowRankDynamics(array, 1e-4, 1.0)
    exact = dense_covariance(array, 1e-4, 2.0)
    spread = np.ptp(law.leak_rate) / law.leak_rate.mean()
    assert np.abs(drawn_covariance(law, 2.0) - exact).max() < spread * np.abs(exact).max()


@pytest.mark.long
def test_a_network_of_200000_cells_runs_with_no_array_stored():
    n, k = 200_000, 64
    rng = np.random.default_rng(0)
    rows = torch.tensor(rng.standard_normal((k, n), dtype=np.float32)) / math.sqrt(n)
    rows *= torch.logspace(0, -2, k)[:, None]
    # The preset's amplifiers cannot drive 200,000 resistors at one output.
    device = CascadeDevice(INTEGRATED.replace(opamp__output_current=math.inf), die=3)
    b = torch.tensor(rng.standard_normal(n, dtype=np.float32))
    tracemalloc.start()
    solution = device.solve(LowRank(rows, None, 0.01), b, 50.0)
    peak = tracemalloc.get_traced_memory()[1]
    # Negative control: one array, stored.
    tracemalloc.reset_peak()
    device.dynamics.array.conductances(FIRST, slice(0, n))
    stored = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert solution.outcome is Outcome.OK
    # Forty vectors of the cells; one array has sixty-four.
    assert peak < 40 * n * 8 < k * n * 8 <= stored
    assert solution.error_bound < 1e-10 * float(solution.x.norm())
    # Near the ideal answer, off by the parts' imperfections.
    exact = IdealDevice().solve(LowRank(rows, None, 0.01), b, 50.0).x
    error = float((solution.x - exact).norm() / exact.norm())
    assert 1e-3 < error < 0.3


@pytest.mark.parametrize("core", [True, False])
@pytest.mark.parametrize("t", [0.0, 0.1, 3.0, 50.0, math.inf])
def test_perfect_parts_are_the_ideal_device(core, t):
    system = system_of(core=core)
    b, x0 = torch.linspace(-1, 2, 20, dtype=torch.float64), torch.ones(20, dtype=torch.float64)
    found = CascadeDevice(IDEAL).solve(system, b, t, x0=x0).x
    exact = IdealDevice().solve(system, b, t, x0=x0).x
    assert float((found - exact).norm()) < 1e-9 * float(exact.norm())


def test_one_die_and_seed_are_one_device_and_a_saved_one_goes_on_as_it_was():
    system, b = system_of(), torch.ones(20, dtype=torch.float64)
    first, second = (CascadeDevice(INTEGRATED, die=3, seed=1) for _ in range(2))
    assert isinstance(first, Device)
    torch.testing.assert_close(first.solve(system, b, 2.0).x, second.solve(system, b, 2.0).x, rtol=0, atol=0)
    resumed = CascadeDevice(INTEGRATED, die=3, seed=1)
    resumed.load_state_dict(first.state_dict())
    on = [device.solve(system, b, 1.0).x for device in (first, resumed)]
    torch.testing.assert_close(on[0], on[1], rtol=0, atol=0)
    for die, seed in ((4, 1), (3, 2)):
        other = CascadeDevice(INTEGRATED.replace(adc__bits=None), die, seed)
        same = CascadeDevice(INTEGRATED.replace(adc__bits=None), 3, 1)
        assert not torch.equal(other.solve(system, b, 1.0).x, same.solve(system, b, 1.0).x)


def test_going_on_is_one_longer_run():
    system, b = system_of(), torch.ones(20, dtype=torch.float64)
    technology = IDEAL.replace(resistors__tolerance=0.01, capacitors__tolerance=0.01, opamp__gain=1e3)
    once, twice = CascadeDevice(technology, die=3), CascadeDevice(technology, die=3)
    twice.solve(system, b, 1.0)
    whole = once.solve(system, b, 3.0)
    assert whole.seconds == pytest.approx(3.0 * once.tau * whole.attempts)
    torch.testing.assert_close(twice.evolve(2.0).x, whole.x, rtol=0, atol=1e-9)
    assert float((twice.evolve(2.0).x - whole.x).norm()) > 1e-3  # two more are another state


def test_a_state_beyond_the_rail_is_scaled_down():
    system = LowRank(0.01 * system_of().J, None, 1e-3)
    b = torch.ones(20, dtype=torch.float64)
    solution = CascadeDevice(IDEAL).solve(system, b, math.inf)
    assert solution.outcome is Outcome.OK
    assert solution.attempts > 1
    torch.testing.assert_close(solution.x, torch.linalg.solve(system.dense(), b), rtol=1e-8, atol=0)


def test_growing_and_undamped_systems_have_their_outcomes():
    b = torch.ones(20, dtype=torch.float64)
    growing = LowRank(system_of().J, -torch.eye(4, dtype=torch.float64), 0.1)
    free = LowRank(system_of().J, None, 0.0)
    device = CascadeDevice(IDEAL)
    assert device.solve(growing, b, 1.0).outcome is Outcome.UNSTABLE
    assert device.solve(free, b, math.inf).outcome is Outcome.NOT_FINITE
    exact = IdealDevice().solve(free, b, 2.0).x
    torch.testing.assert_close(device.solve(free, b, 2.0, x0=torch.zeros_like(b)).x, exact)


def test_a_card_extrapolates_and_says_so():
    technology = INTEGRATED.replace(opamp__second_pole=math.inf)  # the card has none
    card, system, b = true_card(technology), system_of(), torch.ones(20, dtype=torch.float64)
    with pytest.raises(InputError, match="fabric factored, calibrated as crossbar"):
        CascadeDevice(card, die=2).solve(system, b, 1.0)
    device = CascadeDevice(card, die=2, extrapolate=True)
    solution = device.solve(system, b, 1.0)
    assert solution.outcome is Outcome.EXTRAPOLATED
    assert solution.violations == ("fabric factored, calibrated as crossbar",)
    # The card of a perfect calibration has its technology's figures.
    torch.testing.assert_close(solution.x, CascadeDevice(technology, die=2).solve(system, b, 1.0).x, rtol=0, atol=0)


@pytest.mark.parametrize("scale", [1e150, 1e10, 2.0**-40, 1e-14, 1e-150])
@pytest.mark.parametrize("t", [0.4, 20.0, math.inf])
def test_a_common_factor_of_system_and_drive_is_not_seen(scale, t):
    system, b = system_of(), torch.linspace(-1, 2, 20, dtype=torch.float64)
    found = CascadeDevice(INTEGRATED, die=1).solve(system, b, t)
    scaled = LowRank(system.J * scale, system.H, system.damping * scale**2)
    device = CascadeDevice(INTEGRATED, die=1)
    other = device.solve(scaled, b * scale**2, t / scale**2)
    assert (other.outcome, found.outcome) == (Outcome.OK, Outcome.OK)
    assert other.seconds == pytest.approx(found.seconds, rel=1e-12)
    assert other.seconds == pytest.approx(t / scale**2 * device.tau * other.attempts, rel=1e-12)
    # A reading is a code: rounding may move it to the next.
    assert float((other.x - found.x).norm()) < 2e-2 * float(found.x.norm())
    # Negative control: the same factors with another damping, above what a code may be off by.
    more = CascadeDevice(INTEGRATED, die=1).solve(LowRank(system.J, system.H, 2 * system.damping), b, t)
    assert t < 1 or float((more.x - found.x).norm()) > 5e-2 * float(found.x.norm())


def test_a_run_far_too_short_leaves_the_cells_where_they_are():
    device, start = CascadeDevice(IDEAL), torch.linspace(-1, 1, 20, dtype=torch.float64)
    system = system_of()
    small = LowRank(system.J * 1e-160, system.H, 0.0)
    solution = device.solve(small, torch.zeros(20, dtype=torch.float64), 20.0, x0=start)
    torch.testing.assert_close(solution.x, start, rtol=1e-12, atol=0)


@pytest.mark.parametrize("place", ["volts", "stages"])
def test_a_state_that_is_not_finite_is_no_reading(monkeypatch, place):
    device, b = CascadeDevice(INTEGRATED, die=1), torch.ones(20, dtype=torch.float64)
    assert device.solve(system_of(), b, 1.0).outcome is Outcome.OK
    motion = device.dynamics.motion

    def broken(*arguments):
        found = motion(*arguments)
        getattr(found, place)[0] = math.nan
        return found

    monkeypatch.setattr(device.dynamics, "motion", broken)
    solution = device.evolve(1.0)
    assert solution.outcome is Outcome.NOT_FINITE
    assert torch.isnan(solution.x).all()
    assert device.state_dict()["state"] is None
    monkeypatch.undo()
    assert device.evolve(1.0).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("nothing", "state lacks identity, state, without_drive, headroom, runs: give what state_dict"),
        ({"state": torch.tensor([1.0, math.nan])}, r"state\['state'\] is \(2,\) torch.float32: .*finite"),
        ({"state": [1.0, 2.0]}, r"state\['state'\] is list"),
        ({"headroom": math.nan}, r"state\['headroom'\] is nan"),
        ({"runs": -1}, r"state\['runs'\] is -1"),
        ({"identity": 1}, r"state\['identity'\] is a int"),
        ({"identity": CascadeDevice(INTEGRATED, die=2).state_dict()["identity"]}, "die 2, and this one is of die 1"),
        (
            {"identity": CascadeDevice("paper", die=1).state_dict()["identity"]},
            "of another technology: resume on the same",
        ),
        (
            {"identity": {"device": "SurrogateDevice"}},
            "device SurrogateDevice, and this one is of device CascadeDevice",
        ),
    ],
)
def test_a_state_that_is_none_is_rejected_and_leaves_the_device_as_it_was(change, words):
    device, b = CascadeDevice(INTEGRATED, die=1), torch.ones(20, dtype=torch.float64)
    device.solve(system_of(), b, 1.0)
    before = device.state_dict()
    given = {} if isinstance(change, str) else before | change
    with pytest.raises(InputError, match=words):
        device.load_state_dict(given)
    after = device.state_dict()
    torch.testing.assert_close(after["state"], before["state"])
    assert (after["headroom"], after["runs"]) == (before["headroom"], before["runs"])
    device.load_state_dict(before)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: CascadeDevice(3), "hardware is a int: give a Technology, a preset's name or a DeviceCard"),
        (lambda: CascadeDevice("integrated", extrapolate=True), "extrapolate=True with a technology"),
        (lambda: CascadeDevice(IDEAL, seed=-1), "seed is -1"),
        (lambda: CascadeDevice(IDEAL).evolve(1.0), "call solve first"),
        (
            lambda: CascadeDevice(IDEAL).solve(Dense(torch.eye(2)), torch.ones(2), 1.0),
            "system is a Dense: .*Kronecker",
        ),
        (lambda: CascadeDevice(IDEAL).solve(LowRank(torch.zeros(1, 2)), torch.ones(2), 1.0), "J is zero everywhere"),
        (lambda: CascadeDevice(IDEAL).tau, "call solve first"),
        (
            lambda: CascadeDevice(IDEAL).solve(
                LowRank(torch.full((1, 2), 1e-305, dtype=torch.float64)), torch.ones(2, dtype=torch.float64), 1.0
            ),
            "largest entry of J is 1e-305: give one from 1e-300",
        ),
        (
            lambda: CascadeDevice(IDEAL).solve(
                LowRank(torch.full((1, 2), 1e-160, dtype=torch.float64), None, 1.0),
                torch.ones(2, dtype=torch.float64),
                1.0,
            ),
            "damping is 1 where the factors' product is about",
        ),
        (lambda: CascadeDevice(IDEAL).solve(LowRank(torch.ones(1, 2)), torch.ones(3), 1.0), r"shape \(2,\)"),
        (lambda: CascadeDevice(IDEAL).solve(LowRank(torch.ones(1, 2)), torch.ones(2), -1.0), "duration is -1"),
    ],
)
def test_errors_name_what_is_wrong(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_idle_says_that_conductances_do_not_drift_here():
    """Negative control: a technology whose conductances keep their values."""
    device = CascadeDevice(INTEGRATED)
    device.idle(3600.0)
    assert device.age == 3600.0
    for changes in ({"resistors__conductance_drift": 0.05}, {"resistors__conductance_drift_spread": 0.01}):
        drifting = CascadeDevice(INTEGRATED.replace(**changes))
        with pytest.raises(InputError, match="which arrays of factors do not model: use a SurrogateDevice"):
            drifting.idle(3600.0)
