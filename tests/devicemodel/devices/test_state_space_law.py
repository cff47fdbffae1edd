"""`StateSpaceLaw` against the netlist's state space and against dense exponentials, in SI units as they come."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm, solve_continuous_lyapunov

from thermograd.circuits.errors import UnrealisableError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, lay_out
from thermograd.compiler.linear_law import LinearLaw, Outputs, SlowSource
from thermograd.devicemodel.devices.flicker import linear_sections
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.state_space_law import StateSpaceLaw, kept_modes
from thermograd.devicemodel.systems import Dense

from ...compiler.fabrics.test_linear_law import unequal
from ...compiler.fabrics.test_oscillators import m_matrix
from ...systems import passive, spd

TECHNOLOGY = preset("integrated")
OPAMP = TECHNOLOGY.opamp


def program_of(fabric, n=4):
    a = passive(n, 0.3, 3)
    if fabric == "spu":
        a = 2 * np.diag(np.diag(a)) - np.abs(a)
    return unequal(compile_matrix(a, fabric, TECHNOLOGY), 5)


def law_of(program, **options):
    return StateSpaceLaw(program.fabric.linear_law(program.parts, program.technology), OPAMP, program.tau, **options)


@pytest.mark.parametrize("fabric", ["lc", "spu"])
@pytest.mark.parametrize("duration", [0.02, 3.0, 200.0, math.inf])
def test_means_are_the_netlist_s(fabric, duration):
    program = program_of(fabric)
    law, chance = law_of(program), np.random.default_rng(1)
    state = chance.standard_normal(2 * program.size)
    currents = chance.standard_normal(program.size)
    found = law.mean(torch.tensor(state[None]), torch.tensor(currents[None]), duration)[0, : program.size].numpy()
    space = state_space(program.circuit(currents, state), {str(k): pair for k, pair in enumerate(program.readouts)})
    # Fluxes in a mesh of inductors stay: there is no operating point, but after a long time the same.
    expected = space.transition((duration if math.isfinite(duration) else 3000.0) * program.tau, space.initial)
    size = max(np.abs(expected).max(), np.abs(state).max())
    np.testing.assert_allclose(found, expected, atol=1e-9 * size)


@pytest.mark.parametrize("fabric", ["lc", "spu"])
def test_a_run_in_two_parts_is_the_run(fabric):
    """From what is kept, both rails as they are: with equal rails nothing else is there."""
    program = compile_matrix(passive(4, 0.3, 3) if fabric == "lc" else np.eye(4) - 0.1, fabric, TECHNOLOGY)
    law, force = law_of(program), torch.ones(1, 4, dtype=torch.float64)
    whole = law.mean(torch.zeros(1, 8, dtype=torch.float64), force, 5.0)
    parts = law.mean(law.mean(torch.zeros(1, 8, dtype=torch.float64), force, 2.0), force, 3.0)
    torch.testing.assert_close(parts, whole, rtol=1e-10, atol=1e-10 * float(whole.abs().max()))


UNITS = np.repeat([1e-12, 1.0, 1e3], 3) * np.exp(np.random.default_rng(0).standard_normal(9))


def oscillator():
    """A law of three cells with states in units of very different size, and 1/f inputs."""
    n, unit = 3, UNITS
    a = np.diag([0.2, 1.0, 9.0]) + 0.1
    nothing, eye = np.zeros((n, n)), np.eye(n)
    drift = 1e6 * np.block([[nothing, eye, nothing], [-a, -0.4 * eye, -a], [eye, nothing, -30 * eye]])
    noise = 1e-12 * np.diag(np.repeat([0.0, 1.0, 3.0], n))
    into = 1e6 * np.concatenate([nothing, eye, 0.3 * eye])
    back = np.concatenate([eye, nothing, nothing]), np.concatenate([nothing, eye, nothing])
    return LinearLaw(
        drift=drift / unit * unit[:, None],
        drive=unit[:, None] * 1e9 * back[1],
        constant=np.zeros(3 * n),
        johnson=noise * np.outer(unit, unit),
        amplifiers=0.5 * noise * np.outer(unit, unit),
        read=(back[0] / unit[:, None]).T,
        start=unit[:, None] * np.concatenate(back, axis=1),
        kept=np.concatenate([(one / unit[:, None]).T for one in back]),
        slow=(SlowSource("voltage", unit[:, None] * into),),
    )


@pytest.mark.parametrize("bandwidth", [math.inf, 3e5])
@pytest.mark.parametrize("duration", [0.5, 8.0])
def test_noise_is_that_of_all_states_together(bandwidth, duration):
    """White noise, a sampler, and 1/f sections known at both ends: against one process that has them all as states."""
    circuit, opamp, tau = oscillator(), OPAMP.model_copy(update={"noise_voltage_corner": 3e4}), 1e-6
    law = StateSpaceLaw(circuit, opamp, tau, noise_power=1.7, bandwidth=bandwidth)
    [section] = linear_sections(circuit, opamp, 1.7)
    m, n, k = circuit.order, circuit.size, len(section.rates)
    sampler = 2 * math.pi * min(bandwidth, 1e6)
    # States z, what the samplers hold, sections.
    x = m + n + k * n
    drift, diffusion = np.zeros((x, x)), np.zeros((x, x))
    drift[:m, :m], drift[m : m + n, :m] = circuit.drift, sampler * circuit.read
    drift[m : m + n, m : m + n] = -sampler * np.eye(n)
    rates = np.repeat(section.rates.numpy(), n)
    drift[:m, m + n :] = np.concatenate([s * section.slow.numpy() for s in section.deviations.tolist()], axis=1)
    drift[m + n :, m + n :] = -np.diag(rates)
    diffusion[:m, :m] = 1.7 * (circuit.johnson + circuit.amplifiers)
    diffusion[m + n :, m + n :] = np.diag(2 * rates)
    unit = np.concatenate([UNITS, np.ones(n + k * n)])
    drift, diffusion = drift * unit / unit[:, None], diffusion / np.outer(unit, unit)
    rest = np.zeros((x, x))
    rest[m + n :, m + n :] = np.eye(k * n)
    moved = expm(drift * duration * tau)
    settled = solve_continuous_lyapunov(drift, -diffusion)
    exact = np.outer(unit, unit) * (settled - moved @ (settled - rest) @ moved.T)
    shown = np.zeros((n, x))
    shown[:, :m] = circuit.read
    if math.isfinite(bandwidth):
        shown = np.eye(n, x, m)
    span = law._span(duration).law
    ends = torch.cat([span.carried, span.arrived], dim=1).numpy()
    left = np.diag(np.exp(-rates * duration * tau))
    together = np.block([[np.eye(k * n), left], [left, np.eye(k * n)]])
    read = law._read.numpy()
    found = read @ (span.root @ span.root.mT).numpy() @ read.T + read @ ends @ together @ ends.T @ read.T
    expected = shown @ exact @ shown.T
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    without = read @ (span.root @ span.root.mT).numpy() @ read.T
    assert np.abs(without - expected).max() > 0.02 * np.abs(expected).max()


def test_the_settled_covariance_is_lyapunov_s_and_rows_are_independent_draws():
    program = program_of("lc")
    circuit = program.fabric.linear_law(program.parts, program.technology)
    law = StateSpaceLaw(circuit, OPAMP, program.tau, noise_power=1.0)
    unit = np.where(np.diag(circuit.johnson) > 0, 1.0, 1e-6)
    drift, noise = circuit.drift * unit / unit[:, None], circuit.johnson / np.outer(unit, unit)
    states = np.outer(unit, unit) * solve_continuous_lyapunov(drift, -noise)
    expected = circuit.kept @ states @ circuit.kept.T
    count, zero = 2000, torch.zeros(2000, 8, dtype=torch.float64)
    generators = [torch.Generator().manual_seed(seed) for seed in range(count)]
    drawn = law.left(law.advance(law.begin(zero, zero[:, :4]), zero[:, :4], math.inf, generators)).numpy()
    root = np.linalg.cholesky(expected)
    white = np.linalg.solve(root, drawn.T)
    found = white @ white.T / count
    # (8 9 / 2 entries of deviation sqrt(1 / count), on the diagonal sqrt(2 / count)
    assert np.abs(found - np.eye(8)).max() < 4.5 * math.sqrt(2 / count)
    assert np.abs(1.3 * found - np.eye(8)).max() > 4.5 * math.sqrt(2 / count)


@pytest.mark.parametrize("duration", [2.0, 40.0, math.inf])
def test_the_peak_of_a_run_is_seen_though_its_end_is_not_beyond(duration):
    """phi'' + gamma phi' + phi = b overshoots by exp(-pi zeta / sqrt(1 - zeta^2))."""
    zeta, unit = 0.1, 1e-9
    law = LinearLaw(
        drift=1e6 * np.array([[0.0, unit], [-1 / unit, -2 * zeta]]),
        drive=np.array([[0.0], [1e9 / unit]]),
        constant=np.zeros(2),
        johnson=np.zeros((2, 2)),
        amplifiers=np.zeros((2, 2)),
        read=np.array([[1 / unit, 0.0]]) * unit,
        start=np.diag([1.0, 1.0]),
        kept=np.eye(2),
        outputs=Outputs(np.array([[1.0, 0.0]]), np.zeros((1, 2)), np.zeros((1, 1))),
    )
    opamp = OPAMP.model_copy(update={"output_resistance": 0.0, "output_current": math.inf, "outputs": 1})
    state_law = StateSpaceLaw(law, opamp, 1e-6)
    zero, force = torch.zeros(1, 2, dtype=torch.float64), torch.full((1, 1), 1e-3, dtype=torch.float64)
    begun = state_law.begin(zero, force)
    rest = 1e-3 * 1e9 * 1e-6
    over = 1 + math.exp(-math.pi * zeta / math.sqrt(1 - zeta**2))
    times = np.linspace(0, min(duration, 100.0), 4001)
    omega = math.sqrt(1 - zeta**2)
    curve = 1 - np.exp(-zeta * times) * (np.cos(omega * times) + zeta / omega * np.sin(omega * times))
    [found] = state_law.peak(begun, force, duration) * opamp.output_limit / rest
    assert found <= curve.max() * (1 + 1e-6)
    assert found > 0.92 * curve.max()
    if duration > 2:
        assert curve.max() == pytest.approx(over, rel=1e-4)
        assert float(state_law.mean(zero, force, duration)[0, 0]) < 1.05 * rest < found * rest


@pytest.mark.parametrize("fabric", ["lc", "spu", "oscillator"])
@pytest.mark.parametrize("duration", [4.0, math.inf])
def test_a_run_in_ngspice_ends_where_the_law_of_the_same_die_does(fabric, duration):
    """What is read and what is kept, to the solver's tolerance."""
    technology = TECHNOLOGY.replace(opamp__second_pole=math.inf)
    device = SpiceDevice(technology, 3, fabric, johnson_noise=False)
    a = spd(3, 30.0, 2) if fabric == "oscillator" else m_matrix(3, 2)
    board, chance = device.board_of(lay_out(a, fabric, technology)), np.random.default_rng(3)
    # A drive of the size of the start.
    driven = chance.uniform(-0.1, 0.1, (1, 3)) * (1.0 if fabric != "spu" else 0.1)
    start = chance.uniform(-0.2, 0.2, (1, board.kept))
    found = board.relax(np.zeros(1, int), driven, start, (duration, 1.5), [np.random.default_rng(0)])
    law = law_of(board.program)
    force = torch.tensor(driven * board.amperes_per_volt)
    motion = law.advance(law.begin(torch.tensor(start), force), force, duration)
    later = law.advance(motion, force, 1.5)
    largest = max(np.abs(found.cells).max(), np.abs(start).max())
    np.testing.assert_allclose(found.cells[0, 0], law.read(motion)[0], atol=1e-5 * largest)
    if math.isfinite(duration):
        np.testing.assert_allclose(found.cells[0, 1], law.read(later)[0], atol=1e-5 * largest)
    np.testing.assert_allclose(found.left, law.left(later), atol=3e-5 * max(largest, np.abs(found.left).max()))


def test_a_fabric_that_is_read_by_covariance_is_not_solved_by_settling():
    with pytest.raises(UnrealisableError, match="CovarianceDevice"):
        SpiceDevice(TECHNOLOGY, fabric="spu").solve(Dense(torch.eye(2)), torch.ones(2), 5.0)


@pytest.mark.parametrize("fabric", ["lc", "spu", "oscillator"])
def test_modes_of_what_is_kept_are_the_circuit_s_without_the_amplifiers(fabric):
    a = spd(5, 100.0, 2) if fabric == "oscillator" else m_matrix(5, 2)
    program = compile_matrix(a, fabric, TECHNOLOGY)
    law = program.fabric.linear_law(program.parts, program.technology)
    exact = np.linalg.eigvals(law.drift)
    exact = exact[np.argsort(np.abs(exact))][:10]
    found = kept_modes(law)
    assert len(found) == 10
    distance = np.abs(found[:, None] - exact)
    assert max(distance.min(axis=0).max(), distance.min(axis=1).max()) < 1e-5 * np.abs(exact).max()
