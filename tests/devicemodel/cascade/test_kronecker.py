"""Arrays of A and B against the fabric's admittance written out, matrix exponentials and ngspice; that they are never stored."""

import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.constants import Boltzmann
from scipy.linalg import block_diag, expm, solve_continuous_lyapunov

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import OperatingPoint, Transient
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_system
from thermograd.compiler.fabrics.cascade import Factored
from thermograd.compiler.fabrics.cascade_parts import FactoredParts
from thermograd.compiler.fabrics.cascade_places import FIRST, LAST
from thermograd.devicemodel.cascade import kronecker_dynamics
from thermograd.devicemodel.cascade.cells import StandardDeviations
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.cascade.kronecker_array import KroneckerArray
from thermograd.devicemodel.cascade.kronecker_dynamics import KroneckerDynamics
from thermograd.devicemodel.device import Device, Outcome
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.systems import Kronecker

from ...systems import true_card

IDEAL = preset("ideal")
INTEGRATED = preset("integrated")
TIMES = [0.01, 1.0, 10.0, 90.0, 1e4, math.inf]


def factor(n, condition, rng):
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return torch.tensor((basis * np.geomspace(1 / condition, 1, n)) @ basis.T)


def system_of(p=4, q=5, damping=0.05, seed=1, condition=30.0, scales=(40.0, 0.025)):
    rng = np.random.default_rng([seed, p, q])
    A, B = (scale * factor(n, condition, rng) for scale, n in zip(scales, (p, q), strict=True))
    return Kronecker((A + A.T) / 2, (B + B.T) / 2, damping)


def array_of(system, sigma=0.01, offset=1e-3, die=5, technology=IDEAL, **options):
    return KroneckerArray(system, Die(technology, die), StandardDeviations(sigma, sigma, offset), **options)


def parts_of(array):
    """The compiler's record of the board, (p q) x (p q) matrices: B^(i) on the diagonal, A^(j) where column j's cells are."""
    p, q = array.shape
    first = block_diag(*array.conductances(FIRST, slice(0, p)))
    last = np.zeros((p, q, p, q))
    for j, copy in enumerate(array.conductances(LAST, slice(0, q))):
        last[:, j, :, j] = copy
    return FactoredParts(
        arrays=(sparse.csr_array(first), sparse.csr_array(last.reshape(p * q, p * q))),
        feedback=(array.feedback,),
        damping=array.damping,
        drive=array.drive,
        capacitance=array.capacitance,
        drive_nominal=array.drive_nominal,
    )


def dense_law(array, leak):
    """(F, drive that offsets give) in 1/tau and V/tau, from the fabric's admittance and Kirchhoff's law."""
    parts, technology = parts_of(array), IDEAL.replace(opamp__gain=1 / leak if leak else math.inf)
    static = np.real(Factored().admittance(parts, technology, 0.0))
    stage = abs(parts.arrays[0]).sum(axis=1) + parts.feedback[0]
    passed = stage * array.stage_offsets / (parts.feedback[0] + leak * stage)
    load = abs(parts.arrays[1]).sum(axis=1) + parts.damping + parts.drive
    pull = array.tau / (parts.capacitance * (1 + leak))
    return -pull[:, None] * static, pull * (load * array.offset - parts.arrays[1] @ passed)


def dense_motion(F, u, start, t):
    if math.isinf(t):
        return -np.linalg.solve(F, u)
    whole = np.block([[F, u[:, None]], [np.zeros((1, len(u) + 1))]])
    return (expm(whole * t) @ np.append(start, 1.0))[:-1]


def both_motions(system, t, leak=1e-3, **options):
    array = array_of(system, **options)
    law = KroneckerDynamics(array, leak)
    t = t * 2.0**array.exponent
    rng = np.random.default_rng(2)
    currents, start = 0.1 * array.drive_nominal * rng.standard_normal(array.size), rng.standard_normal(array.size)
    F, u = dense_law(array, leak)
    pull = array.tau / (array.capacitance * (1 + leak))
    u = u + pull * currents * array.drive / array.drive_nominal
    return law.motion(currents, start, t), dense_motion(F, u, start, t)


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("damping", [0.02, 0.5])
def test_mean_is_that_of_the_dense_law(t, damping):
    motion, exact = both_motions(system_of(damping=damping), t)
    error = np.linalg.norm(motion.volts - exact)
    assert error < 1e-10 * (1 + np.linalg.norm(exact))
    assert error < motion.bound + 1e-12 * (1 + np.linalg.norm(exact))
    assert math.isfinite(motion.bound) or damping == 0.02
    # Negative controls: another die; perfect Kronecker factors, as if one array served all rows.
    for other in ({"die": 6}, {"sigma": 0.0}):
        assert np.linalg.norm(both_motions(system_of(damping=damping), t, **other)[0].volts - exact) > 1e-5


@settings(max_examples=30, deadline=None)
@given(
    p=st.integers(1, 5),
    q=st.integers(1, 5),
    damping=st.floats(0.02, 10.0),
    sigma=st.floats(0.0, 0.02),
    leak=st.floats(1e-8, 1e-3),
    t=st.floats(1e-3, 1e3),
    seed=st.integers(0, 2**32),
)
def test_any_system_moves_as_the_dense_law_does(p, q, damping, sigma, leak, t, seed):
    motion, exact = both_motions(system_of(p, q, damping, seed), t, leak, sigma=sigma, die=seed)
    error = np.linalg.norm(motion.volts - exact)
    assert error < 1e-9 * (1 + np.linalg.norm(exact))
    assert error < motion.bound + 1e-10 * (1 + np.linalg.norm(exact))


@pytest.mark.parametrize(("name", "coarse"), [("NODES", 4), ("NODES", 6), ("EXACT", 1e-4), ("EXACT", 1e-6)])
def test_the_bound_holds_where_the_error_is_far_above_rounding(monkeypatch, name, coarse):
    monkeypatch.setattr(kronecker_dynamics, name, coarse)
    monkeypatch.setattr(kronecker_dynamics, "LEAST", 1.0)
    for t in (1.0, 10.0):
        motion, exact = both_motions(system_of(damping=0.3), t)
        error = np.linalg.norm(motion.volts - exact)
        assert 1e-9 < error < motion.bound < math.inf


@settings(max_examples=20, deadline=None)
@given(
    p=st.integers(1, 5), q=st.integers(1, 5), sigma=st.floats(0.0, 0.05), seed=st.integers(0, 2**32), x=st.floats(-2, 2)
)
def test_no_resolvent_is_larger_than_the_enclosure_says(p, q, sigma, seed, x):
    array = array_of(system_of(p, q, 0.1, seed), sigma=sigma, die=seed)
    law = KroneckerDynamics(array, 1e-3)
    F, _ = dense_law(array, 1e-3)
    z = np.array([x + 0.05j, 1j * x, -x])
    exact = [np.linalg.norm(np.linalg.inv(node * np.eye(len(F)) - F), 2) for node in z]
    assert (np.array(exact) <= law._resolvent(z) * (1 + 1e-9)).all()


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_growth_beyond_what_is_proven_is_judged_by_the_modes(sigma):
    system = system_of(9, 8, 1e-3, condition=1e3)
    array = array_of(system, sigma=sigma)
    flow = KroneckerDynamics(array, 1e-5).drift
    assert flow.low < flow.radius
    exact = np.linalg.eigvals(dense_law(array, 1e-5)[0]).real.max()
    assert flow.modes.real.max() == pytest.approx(exact, rel=0.05)
    assert flow.stable == (exact <= 0)
    # The two dies are on either side.
    assert flow.stable == (sigma == 0.01)


def test_stage_outputs_are_those_of_the_state():
    array = array_of(system_of(), offset=1e-3)
    motion = KroneckerDynamics(array, 0.0).motion(np.zeros(array.size), np.ones(array.size), 2.0)
    parts = parts_of(array)
    load = abs(parts.arrays[0]).sum(axis=1) + array.feedback
    found = (parts.arrays[0] @ motion.volts + load * array.stage_offsets) / array.feedback
    np.testing.assert_allclose(motion.stages, found, atol=1e-12)


@pytest.mark.parametrize("t", [0.7, math.inf])
def test_nominal_parts_are_those_of_the_compiled_netlist_in_ngspice(t):
    technology = IDEAL.replace(opamp__gain=300.0)
    system = system_of(2, 3, 0.2)
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


def test_copies_have_the_pairs_deviation_and_each_its_own():
    array = array_of(system_of(30, 40), sigma=0.02)
    sd, found = 0.02 / math.sqrt(2), {}
    for which in (FIRST, LAST):
        copies = array.conductances(which, slice(0, array.copies(which)))
        found[which] = z = np.log(copies / array.nominal(which))
        assert z.std() == pytest.approx(sd, rel=4 / math.sqrt(2 * z.size))  # standard error of a deviation
        assert z.mean() == pytest.approx(0.0, abs=4 * sd / math.sqrt(z.size))
        pairs = [(z[0], z[1]), (z[:, 0], z[:, 1]), (z[:, :, 0], z[:, :, 1]), (z, z.swapaxes(1, 2))]
        for one, other in pairs[:3]:
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / math.sqrt(one.size)
        # A[i, j] and A[j, i] are two resistors.
        upper = np.triu_indices(z.shape[1], 1)
        pair = z[:, upper[0], upper[1]].ravel(), z[:, upper[1], upper[0]].ravel()
        assert abs(np.corrcoef(*pair)[0, 1]) < 4 / math.sqrt(pair[0].size)
    side = slice(0, 30)
    across = np.corrcoef(found[FIRST][side, side, side].ravel(), found[LAST][side, side, side].ravel())[0, 1]
    assert abs(across) < 4 / math.sqrt(30**3)


@settings(max_examples=10, deadline=None)
@given(die=st.integers(0, 2**63), block=st.integers(1, 200))
def test_a_die_is_the_same_however_it_is_cut_into_blocks(die, block):
    system = system_of()
    whole, cut = array_of(system, die=die), array_of(system, die=die, block=block)
    for which in (FIRST, LAST):
        parts = [cut.conductances(which, copies) for copies in cut.blocks(which)]
        np.testing.assert_array_equal(np.concatenate(parts), whole.conductances(which, slice(0, cut.copies(which))))
    ends = [KroneckerDynamics(array, 1e-3).motion(np.zeros(20), np.ones(20), 2.0).volts for array in (whole, cut)]
    np.testing.assert_allclose(ends[1], ends[0], rtol=0, atol=1e-12)


def test_a_larger_system_leaves_the_resistors_of_a_smaller_one_as_they_are():
    found = []
    for p, q in ((6, 7), (4, 5)):
        array = array_of(system_of(p, q))
        for which, side in ((FIRST, 5), (LAST, 4)):
            z = np.log(array.conductances(which, slice(0, 4)) / array.nominal(which))
            found.append(z[:4, :side, :side])
    np.testing.assert_allclose(found[0], found[2], atol=1e-14)
    np.testing.assert_allclose(found[1], found[3], atol=1e-14)


class Unit:
    """A generator whose normals are all 0 but one: what a linear map makes of it is one of its columns."""

    def __init__(self, which):
        self.which, self.count = which, 0

    def standard_normal(self, shape):
        drawn = np.zeros(shape)
        self.count = drawn.size
        if self.which < drawn.size:
            drawn.flat[self.which] = 1.0
        return drawn


def drawn_covariance(law, t):
    first = Unit(0)
    law.fluctuation(t, first)
    columns = [law.fluctuation(t, Unit(i)) for i in range(first.count)]
    return sum(np.outer(column, column) for column in columns)


def dense_covariance(array, leak, t, summing=True):
    """int exp(F s) Q exp(F s)^T ds by Lyapunov's equation, Q from all resistors."""
    F, _ = dense_law(array, leak)
    parts, density = parts_of(array), 4 * Boltzmann * array.die.ambient
    first, last = (values.toarray() for values in parts.arrays)
    stage = np.abs(first).sum(axis=1) + parts.feedback[0]
    into = np.diag(density * stage / (parts.feedback[0] + leak * stage) ** 2)
    load = np.abs(last).sum(axis=1) + parts.damping + parts.drive
    current = np.diag(density * load) + (last @ into @ last.T if summing else 0.0)
    pull = 1 / (parts.capacitance * (1 + leak))
    settled = solve_continuous_lyapunov(F, -array.tau * pull[:, None] * current * pull)
    if math.isinf(t):
        return settled
    left = expm(F * t)
    return settled - left @ settled @ left.T


@pytest.mark.parametrize(("damping", "t"), [(0.3, 0.3), (0.3, 8.0), pytest.param(0.02, 60.0, marks=pytest.mark.slow)])
def test_noise_has_the_covariance_of_all_resistors(damping, t):
    array = array_of(system_of(2, 2, damping), sigma=0.03)
    found, exact = drawn_covariance(KroneckerDynamics(array, 1e-3, 1.0), t), dense_covariance(array, 1e-3, t)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(found, exact, rtol=0, atol=3e-6 * scale)
    # Negative controls: the cells' own resistors alone; parts without mismatch.
    assert np.abs(dense_covariance(array, 1e-3, t, summing=False) - exact).max() > 0.01 * scale
    perfect = array_of(system_of(2, 2, damping), sigma=0.0)
    assert np.abs(dense_covariance(perfect, 1e-3, t) - exact).max() > 1e-3 * scale


@pytest.mark.parametrize("t", [20.0, 900.0, math.inf])
def test_noise_is_carried_by_the_dense_law_and_its_times_are_all_of_the_run(t):
    array = array_of(system_of(4, 5, 0.02), sigma=0.02)
    law = KroneckerDynamics(array, 1e-3, 1.0)
    F, _ = dense_law(array, 1e-3)
    times, weights = law._times(min(t, kronecker_dynamics.QUIET / law.drift.slowest))
    exact = np.zeros((20, 20))
    for s, w in zip(times, weights, strict=True):
        exact += w * expm(F * s) @ expm(F * s).T
    settled = solve_continuous_lyapunov(F, -np.eye(20))
    left = 0.0 if math.isinf(t) else expm(F * t) @ settled @ expm(F * t).T
    np.testing.assert_allclose(exact, settled - left, rtol=0, atol=1e-7 * np.abs(settled).max())
    sources = np.random.default_rng(1).standard_normal((len(times), 4, 5))
    carried = sum(expm(F * s) @ source.ravel() for s, source in zip(times, sources, strict=True))
    np.testing.assert_allclose(law._carried(times, sources).ravel(), carried, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_layer_of_130_by_130_cells_runs_with_no_array_stored():
    p, rng = 130, np.random.default_rng(0)
    system = Kronecker(*(factor(p, 100.0, rng) for _ in range(2)), 0.05)
    b = torch.tensor(rng.standard_normal(p * p))
    device = CascadeDevice(INTEGRATED.replace(thermal__johnson_noise=False), die=3)
    tracemalloc.start()
    solution = device.solve(system, b, 20.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert solution.outcome is Outcome.OK
    # The arrays have 2 p conductances a cell, a dense system p^2.
    assert peak < 900 * p * p * 8 < p**4 * 8 / 15
    exact = IdealDevice().solve(system, b, 20.0).x
    error = float((solution.x - exact).norm() / exact.norm())
    assert 1e-3 < error < 0.3


@pytest.mark.parametrize("t", [0.0, 0.1, 3.0, 50.0, math.inf])
def test_perfect_parts_are_the_ideal_device(t):
    system = system_of(6, 4)
    b, x0 = torch.linspace(-1, 2, 24, dtype=torch.float64), torch.ones(24, dtype=torch.float64)
    found = CascadeDevice(IDEAL).solve(system, b, t, x0=x0).x
    exact = IdealDevice().solve(system, b, t, x0=x0).x
    assert float((found - exact).norm()) < 1e-9 * float(exact.norm())
    # Negative control: the factors the other way round.
    turned = CascadeDevice(IDEAL).solve(Kronecker(system.B, system.A, system.damping), b, t, x0=x0).x
    assert t == 0 or float((turned - exact).norm()) > 1e-3 * float(exact.norm())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_each_factor_has_a_scale_of_its_own(scale):
    system = system_of(3, 4)
    other = Kronecker(system.A * scale, system.B / scale, system.damping)
    b = torch.ones(12, dtype=torch.float64)
    first, second = (CascadeDevice(INTEGRATED, die=3).solve(each, b, 5.0) for each in (system, other))
    torch.testing.assert_close(second.x, first.x, rtol=1e-9, atol=0)


def test_one_die_and_seed_are_one_device_and_a_saved_one_goes_on_as_it_was():
    system, b = system_of(), torch.ones(20, dtype=torch.float64)
    first, second = (CascadeDevice(INTEGRATED, die=3, seed=1) for _ in range(2))
    assert isinstance(first, Device)
    torch.testing.assert_close(first.solve(system, b, 2.0).x, second.solve(system, b, 2.0).x, rtol=0, atol=0)
    resumed = CascadeDevice(INTEGRATED, die=3, seed=1)
    resumed.load_state_dict(first.state_dict())
    on = [device.solve(system, b, 1.0).x for device in (first, resumed)]
    torch.testing.assert_close(on[0], on[1], rtol=0, atol=0)
    fine = INTEGRATED.replace(adc__bits=None)
    same = CascadeDevice(fine, 3, 1).solve(system, b, 1.0).x
    for die, seed in ((4, 1), (3, 2)):
        assert not torch.equal(CascadeDevice(fine, die, seed).solve(system, b, 1.0).x, same)


def test_going_on_is_one_longer_run():
    system, b = system_of(), torch.ones(20, dtype=torch.float64)
    technology = IDEAL.replace(resistors__tolerance=0.01, capacitors__tolerance=0.01, opamp__gain=1e3)
    once, twice = CascadeDevice(technology, die=3), CascadeDevice(technology, die=3)
    twice.solve(system, b, 1.0)
    whole = once.solve(system, b, 3.0)
    torch.testing.assert_close(twice.evolve(2.0).x, whole.x, rtol=0, atol=1e-9)
    assert float((twice.evolve(2.0).x - whole.x).norm()) > 1e-3  # two more are another state


def test_a_state_beyond_the_rail_is_scaled_down():
    system = system_of(damping=1e-3, condition=1e3)
    b = torch.ones(20, dtype=torch.float64)
    solution = CascadeDevice(IDEAL).solve(system, b, math.inf)
    assert solution.outcome is Outcome.OK
    assert solution.attempts > 1
    torch.testing.assert_close(solution.x, torch.linalg.solve(system.dense(), b), rtol=1e-8, atol=0)


def test_growing_and_undamped_systems_have_their_outcomes():
    b = torch.ones(9, dtype=torch.float64)
    whole = torch.diag(torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64))
    growing, free = Kronecker(whole, -whole, 0.1), Kronecker(whole, whole, 0.0)
    device = CascadeDevice(IDEAL)
    assert device.solve(growing, b, 1.0).outcome is Outcome.UNSTABLE
    assert device.solve(free, b, math.inf).outcome is Outcome.NOT_FINITE
    exact = IdealDevice().solve(free, b, 2.0).x
    torch.testing.assert_close(device.solve(free, b, 2.0, x0=torch.zeros_like(b)).x, exact)


def test_a_card_extrapolates_and_says_so():
    card, system, b = true_card(INTEGRATED), system_of(), torch.ones(20, dtype=torch.float64)
    with pytest.raises(InputError, match="fabric factored, calibrated as crossbar"):
        CascadeDevice(card, die=2).solve(system, b, 1.0)
    solution = CascadeDevice(card, die=2, extrapolate=True).solve(system, b, 1.0)
    assert solution.outcome is Outcome.EXTRAPOLATED
    torch.testing.assert_close(solution.x, CascadeDevice(INTEGRATED, die=2).solve(system, b, 1.0).x, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (Kronecker(torch.zeros(2, 2), torch.eye(2)), "A is zero everywhere"),
        (Kronecker(torch.eye(2), torch.zeros(2, 2)), "B is zero everywhere"),
        (Kronecker(torch.eye(3), torch.eye(2)), r"shape \(6,\)"),
    ],
)
def test_errors_name_what_is_wrong(system, words):
    with pytest.raises(InputError, match=words):
        CascadeDevice(IDEAL).solve(system, torch.ones(4), 1.0)


@pytest.mark.parametrize("scale", [1e150, 1e10, 2.0**-40, 1e-13, 1e-14, 1e-150])
@pytest.mark.parametrize("t", [3.0, math.inf])
def test_a_common_factor_of_system_and_drive_is_not_seen(scale, t):
    system, b = system_of(scales=(1.0, 1.0), damping=0.1), torch.linspace(-1, 2, 20, dtype=torch.float64)
    found = CascadeDevice(INTEGRATED, die=1).solve(system, b, t)
    scaled = Kronecker(system.A * scale, system.B * scale, system.damping * scale**2)
    other = CascadeDevice(INTEGRATED, die=1).solve(scaled, b * scale**2, t / scale**2)
    assert (other.outcome, found.outcome) == (Outcome.OK, Outcome.OK)
    # A reading is a code: rounding may move it to the next.
    assert float((other.x - found.x).norm()) < 2e-2 * float(found.x.norm())
    exact = IdealDevice().solve(system, b, t).x
    assert float((other.x - exact).norm()) < 0.2 * float(exact.norm())
    # Negative control: the factor of the drive alone.
    unlike = CascadeDevice(INTEGRATED, die=1).solve(system, b * 2.0, t)
    assert float((unlike.x - found.x).norm()) > 0.5 * float(found.x.norm())


def test_the_bound_is_there_where_damping_is_above_what_mismatch_can_shift():
    """What docs/surrogate.md says of it: 1 % of mismatch may shift eigenvalues by 4 % of |A| |B|, which runs short enough do not see."""
    b = torch.ones(100, dtype=torch.float64)
    for damping, t, proven in (
        (0.1, 20.0, True),
        (0.1, math.inf, True),
        (0.01, math.inf, False),
        (0.01, 20.0, True),
        (0.01, 300.0, False),
    ):
        device = CascadeDevice(INTEGRATED, die=1)
        solution = device.solve(system_of(10, 10, damping, condition=100.0, scales=(1.0, 1.0)), b, t)
        flow = device.dynamics.drift
        assert 0.03 < flow.radius / (flow.high - flow.low) < 0.05
        assert math.isfinite(solution.error_bound) == proven
        assert (flow.low > flow.radius) == (damping == 0.1)
