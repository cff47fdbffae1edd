"""Noise that is right at every lag, at steps that resolve nothing fast: against the law, and followed by ngspice."""

import math

import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov, solve_discrete_lyapunov
from scipy.signal import lfilter

from thermograd.circuits.amplifiers.models import Macromodel, OnePole, slow_noise_of
from thermograd.circuits.amplifiers.noise_source import add_noise_source, slow_noise
from thermograd.circuits.errors import InputError
from thermograd.circuits.linear.johnson import johnson_currents
from thermograd.circuits.linear.noise_paths import NOTCH, noise_path
from thermograd.circuits.linear.noise_spectra import noise_covariance
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.netlist.elements import Capacitor, Inductor, Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out

KT = 1.380649e-23 * 300.15
A = np.array([[1.0, 0.3], [0.3, 0.8]])
TECHNOLOGY = preset("integrated")


def rc() -> Netlist:
    netlist = Netlist("rc")
    netlist.add(Resistor("R1", "a", "0", 1e3), Capacitor("C1", "a", "0", 1e-9))
    return netlist


def array(name: str = "integrated", amplifier=None):
    """Two cells: the program, its netlist, and the same with noisy amplifiers, white."""
    technology = preset(name).replace(opamp__noise_voltage_corner=0.0)
    program = lay_out(A, "crossbar" if technology.opamp.outputs == 2 else "crossbar_single", technology)
    zero = np.zeros(2)
    return program, *(program.circuit(zero, zero, cell) for cell in (amplifier, OnePole(technology.opamp, noisy=True)))


def filtered(path: np.ndarray) -> np.ndarray:
    """What the circuit follows of a path."""
    ratio = 1 - NOTCH
    return lfilter(np.full(2, (1 + ratio) / 2), [1.0, ratio], path, axis=0)


@pytest.mark.parametrize("name", ["integrated", "breadboard"])
@pytest.mark.parametrize("share", [1e-3, 0.3, 10.0])
def test_process_has_the_stationary_law_and_its_correlation_at_any_step(name, share):
    program, quiet, noisy = array(name)
    path = noise_path(quiet, share * program.tau, noisy)
    law = noise_covariance(noisy, list(program.readouts))
    states = path.ahead.shape[1]
    rows = state_space(quiet, {str(i): pair for i, pair in enumerate(program.readouts)}).H * path.scale[:states]
    stationary = solve_discrete_lyapunov(path.propagator, path.root @ path.root.T)
    np.testing.assert_allclose(rows @ stationary[:states, :states] @ rows.T, law, rtol=1e-5)
    # The lag by another route: the noisy netlist's own states.
    space = state_space(noisy, {str(i): pair for i, pair in enumerate(program.readouts)})
    later = space.H @ expm(space.F * path.step) @ space.state_covariance() @ space.H.T
    np.testing.assert_allclose(
        rows @ (path.propagator @ stationary)[:states, :states] @ rows.T, later, atol=1e-5 * law.max()
    )
    # The negative control: without the amplifiers' noise the variance is a fraction of it.
    assert np.all(np.diag(noise_covariance(quiet, list(program.readouts))) < 0.2 * np.diag(law))


@pytest.mark.parametrize("kind", ["one pole", "macromodel", "single"])
def test_ngspice_follows_the_path(kind):
    quietest = TECHNOLOGY.opamp.model_copy(update={"noise_voltage": 0.0})
    program, quiet, noisy = array(
        "breadboard" if kind == "single" else "integrated", Macromodel(quietest) if kind == "macromodel" else None
    )
    if kind == "macromodel":
        noisy = program.circuit(np.zeros(2), np.zeros(2), Macromodel(program.technology.opamp))
    path, steps = noise_path(quiet, 0.3 * program.tau, noisy), 1500
    result = run(
        quiet,
        Transient(steps * path.step, step=path.step, nodes=program.nodes, noise=True),
        seed=np.random.default_rng(3),
        currents=path,
    )
    exact = path.path(steps + 8, np.random.default_rng(3))
    rows = state_space(quiet.linearised(), {str(i): pair for i, pair in enumerate(program.readouts)}).H
    wanted, seen = filtered(exact)[1 : steps + 1] @ rows.T, program.cell_volts(result.voltages).T
    size = np.abs(wanted).max()
    assert np.abs(seen - wanted)[:10].max() < 0.05 * size  # the first step, which is divided
    late = slice(steps // 2, None)
    assert np.abs(seen - wanted)[late].max() < (1e-3 if kind == "macromodel" else 1e-6) * size
    assert np.abs(seen - exact[1 : steps + 1] @ rows.T)[late].max() > 3e-3 * size  # the notch is seen


def test_notch_takes_a_twentieth_of_a_percent():
    response = filtered(np.eye(1, 30_000)[0])  # of white noise, of which it takes most
    assert 1 - (response**2).sum() == pytest.approx(NOTCH / 2, rel=1e-3)
    assert filtered(np.ones(10_000))[-1] == pytest.approx(1.0, abs=1e-3)


def average_over_law(netlist: Netlist, currents, windows: int = 1000) -> float:
    """Variance of the mean over 50 tau in ngspice, over that of the law, 2 kT/C tau / T (1 - tau / T + ...)."""
    step, tau = currents.step, 1e-6
    each = round(50 * tau / step)
    count = each * (windows + 1)
    result = run(netlist, Transient(count * step, step=step, nodes=["a"], noise=True), seed=8, currents=currents)
    means = result.voltages["a"][each:].reshape(windows, each).mean(axis=1)
    decay = math.exp(-step / tau)
    lags = np.arange(1, each)
    law = KT / 1e-9 * (each + 2 * ((each - lags) * decay**lags).sum()) / each**2
    return float((means**2).mean() / law)


def test_time_average_over_50_tau_has_the_laws_variance_at_the_coarsest_step():
    error = math.sqrt(2 / 1000)
    assert abs(average_over_law(rc(), noise_path(rc(), 0.5e-6)) - 1) < 3.5 * error
    # The negative control: currents without memory, right in the stationary variance alone; 1.02 of it is the sampling.
    plain = average_over_law(rc(), johnson_currents(rc(), 0.5e-6))
    assert abs(plain - 1.245 / 1.02) < 3.5 * 1.245 * error
    assert plain - 1 > 4 * error


def test_slow_noise_has_the_density_of_its_sections_from_the_start():
    corner, step = 1e5, 1e-7
    slow = slow_noise("nv1", 5e-9, corner)
    netlist = Netlist("sections")
    add_noise_source(netlist, "nv1", 5e-9, corner, "V1")
    sections = netlist.of(Capacitor)
    assert len(slow.corners) == len(sections)
    np.testing.assert_allclose([KT / part.capacitance for part in sections], slow.variance, rtol=1e-6)
    _, quiet, noisy = array()
    path = noise_path(quiet, step, noisy, [slow])
    generator = np.random.default_rng(5)
    drawn = np.array([path.slow_noise(65, generator, {})[0][[0, 64], 0] for _ in range(4000)])
    decay = np.exp(-2 * np.pi * np.array(slow.corners) * 64 * step)
    law = slow.variance * np.array([[len(decay), decay.sum()], [decay.sum(), len(decay)]])
    found = drawn.T @ drawn / len(drawn) / law
    assert np.abs(found - 1).max() < 3.5 * math.sqrt(2 / 4000)
    assert np.abs(found - 1 + slow.variance * 3 / law).max() > 3.5 * math.sqrt(2 / 4000)  # three sections left out


def test_slow_noise_goes_on_from_where_it_was():
    program, quiet, noisy = array()
    path = noise_path(quiet, program.tau, noisy, [slow_noise("nv1", 5e-9, 1e5)])
    first = path.draw(20, np.random.default_rng(1))
    other = path.draw(20, np.random.default_rng(2), first.slow)
    # Slow sections hardly move, the fastest are new.
    moved = np.abs(np.subtract(other.slow["nv1"], first.slow["nv1"])) / math.sqrt(path.slow[0].variance)
    assert moved[:5].max() < 0.1
    assert moved[-3:].max() > 0.3
    long = path.draw(20, np.random.default_rng(2), first.slow, waited=10.0)
    assert np.abs(np.subtract(long.slow["nv1"], first.slow["nv1"]))[:5].max() > 0.3 * math.sqrt(path.slow[0].variance)


def test_array_with_slow_noise_has_the_variance_of_the_sections_netlist():
    technology = preset("integrated").replace(opamp__noise_voltage_corner=1e7, opamp__noise_voltage=2e-8)
    program, zero = lay_out(np.eye(1), "crossbar", technology), np.zeros(1)
    law = noise_covariance(program.circuit(zero, zero, OnePole(technology.opamp, noisy=True)), list(program.readouts))
    white = technology.opamp.model_copy(update={"noise_voltage_corner": 0.0})
    source = program.circuit(zero, zero, OnePole(white, noisy=True))
    quiet, step, runs = program.circuit(zero, zero), 0.3 * program.tau, 1500
    path = noise_path(quiet, step, source, slow_noise_of(source, technology.opamp))
    space = state_space(quiet, {"x": program.readouts[0]})
    generator = np.random.default_rng(4)
    currents = np.stack([path.draw(61, generator).currents for _ in range(runs)])
    ahead, behind = np.eye(space.size) - step / 2 * space.F, np.eye(space.size) + step / 2 * space.F
    state = np.zeros((runs, space.size))
    for k in range(60):
        push = step / 2 * (currents[:, k] + currents[:, k + 1]) @ space.Bn.T
        state = np.linalg.solve(ahead, (state @ behind.T + push).T).T
    found = ((state @ space.H.T) ** 2).mean() / law[0, 0]
    assert abs(found - 1) < 3.5 * math.sqrt(2 / runs)
    assert noise_covariance(source, list(program.readouts))[0, 0] < 0.7 * law[0, 0]  # white alone is rejected


def test_what_cannot_be_followed_is_rejected():
    tank = rc()
    tank.add(Inductor("L1", "a", "0", 1e-3))
    with pytest.raises(InputError, match="johnson_currents"):
        noise_path(tank, 1e-7)
    silent = Netlist("silent")
    silent.add(Resistor("R1", "a", "0", 1e3, noisy=False), Capacitor("C1", "a", "0", 1e-9))
    with pytest.raises(InputError, match="noisy resistor"):
        noise_path(silent, 1e-7)
    with pytest.raises(InputError, match="noise step"):
        noise_path(rc(), 0.0)
    with pytest.raises(InputError, match="same circuit"):
        noise_path(rc(), 1e-7, array()[2])
    with pytest.raises(InputError, match="draw as many"):
        noise_path(rc(), 1e-7).draw(10, np.random.default_rng(1)).sample(11, 0)


def test_stationary_law_of_a_lone_rc_node():
    path = noise_path(rc(), 1e-6)
    variance = solve_continuous_lyapunov(np.array([[-1e6]]), np.array([[-2e6 * KT / 1e-9]]))[0, 0]
    rows = state_space(rc(), {"a": ("a", "0")}).H * path.scale
    stationary = solve_discrete_lyapunov(path.propagator, path.root @ path.root.T)
    assert (rows @ stationary @ rows.T)[0, 0] == pytest.approx(variance, rel=1e-9)
