"""Noise of amplifiers and samplers in the simulated device: variances, averages, what is left in the cells, 1/f from run to run."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.linalg import expm, solve_continuous_lyapunov

from thermograd.circuits.amplifiers.models import Macromodel, OnePole
from thermograd.circuits.linear.johnson import NoiseCurrents
from thermograd.circuits.linear.noise_spectra import noise_covariance, noise_spectrum
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.devices.circuit_noise import SimulatedCircuit
from thermograd.devicemodel.devices.spice import SpiceDevice, transient
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.systems import Dense

INTEGRATED, BREADBOARD = preset("integrated"), preset("breadboard")
ONE = np.eye(1)


def fabric_of(technology):
    return "crossbar" if technology.opamp.outputs == 2 else "crossbar_single"


def readings(technology, reads, interval, amplifier=None, a=ONE, seed=1):
    """Cell voltages (reads, n) of one run without drive, after 30 tau."""
    device = SpiceDevice(technology, None, fabric_of(technology), amplifier=amplifier)
    program, zero = lay_out(a, device.fabric, technology), np.zeros((1, len(a)))
    found = device._relax(program, zero, zero, (30.0, *[interval] * (reads - 1)), [np.random.default_rng(seed)], [0])
    return found.cells[0]


def law(technology, a=ONE, noisy=True):
    """Covariance of the cells by the state space of the compiled netlist."""
    program, zero = lay_out(a, fabric_of(technology), technology), np.zeros(len(a))
    amplifier = OnePole(technology.opamp, noisy=True) if noisy else None
    return noise_covariance(program.circuit(zero, zero, amplifier), list(program.readouts))


def behind_a_pole(technology, bandwidth):
    """Variance of one cell behind a pole, by its spectrum."""
    program, zero = lay_out(ONE, fabric_of(technology), technology), np.zeros(1)
    netlist = program.circuit(zero, zero, OnePole(technology.opamp, noisy=True))

    def density(log_f):
        f = math.exp(log_f)
        amplitude = float(noise_spectrum(netlist, list(program.readouts), [f]).amplitude[0, 0])
        return f * amplitude**2 / (1 + (f / bandwidth) ** 2)

    return quad(density, math.log(1e-1), math.log(1e13), limit=400, epsrel=1e-5)[0]


@pytest.mark.parametrize(("technology", "full", "old"), [(INTEGRATED, 146e-6, 40.6e-6), (BREADBOARD, 39.3e-6, 0.91e-6)])
@pytest.mark.parametrize("limited", [False, True], ids=["one pole", "macromodel"])
def test_a_reading_has_the_amplifiers_noise_over_their_whole_band(technology, full, old, limited):
    technology = technology.replace(opamp__output_resistance=0.0)
    volts = readings(technology, 1500, 2.0, Macromodel(technology.opamp) if limited else None)
    share, error = volts.var() / law(technology)[0, 0], math.sqrt(2 / 1500)
    assert abs(share - 1) < 3.5 * error  # with the sources twice it would be 2
    assert math.sqrt(law(technology)[0, 0]) == pytest.approx(full, rel=0.01)
    without = law(technology, noisy=False)[0, 0]
    assert math.sqrt(without) == pytest.approx(old, rel=0.01)
    assert volts.var() / without > 10


@pytest.mark.parametrize(("technology", "bandwidth"), [(INTEGRATED, 5e6), (INTEGRATED, 2e8), (BREADBOARD, 1e5)])
def test_a_sampler_of_finite_bandwidth_reads_less_noise(technology, bandwidth):
    sampler = technology.replace(adc__bandwidth=bandwidth)
    volts, wanted = readings(sampler, 1500, 3.0), behind_a_pole(technology, bandwidth)
    assert abs(volts.var() / wanted - 1) < 4 * math.sqrt(2 / 1500)
    program = lay_out(ONE, fabric_of(technology), technology)
    assert SimulatedCircuit(program, bandwidth=bandwidth).covariance()[0, 0] == pytest.approx(wanted, rel=1e-3)
    assert law(technology)[0, 0] > 1.2 * wanted


def test_averages_of_50_tau_have_the_laws_variance():
    # Rows of 100 reads, half a tau apart: at this step currents without memory would make it 1.2 times as much.
    windows, technology = 800, preset("paper")
    volts = readings(technology, 100 * windows, 0.5)[:, 0].reshape(windows, 100)
    program, zero = lay_out(ONE, "crossbar", technology), np.zeros(1)
    space = state_space(program.circuit(zero, zero, OnePole(technology.opamp, noisy=True)), {"x": program.readouts[0]})
    step, held = expm(space.F * 0.5 * program.tau), space.state_covariance()
    lagged = [float((space.H @ np.linalg.matrix_power(step, k) @ held @ space.H.T)[0, 0]) for k in range(100)]
    wanted = (100 * lagged[0] + 2 * sum((100 - k) * lagged[k] for k in range(1, 100))) / 100**2
    error = math.sqrt(2 / windows)
    assert abs((volts.mean(axis=1) ** 2).mean() / wanted - 1) < 3.5 * error
    # Negative control: readings taken for independent ones.
    assert abs((volts.mean(axis=1) ** 2).mean() / (lagged[0] / 100) - 1) > 3.5 * error


def test_noise_of_the_outputs_does_not_stay_in_the_cells():
    device, runs = SpiceDevice(INTEGRATED, None, "crossbar"), 80
    program, zero = lay_out(ONE, "crossbar", INTEGRATED), np.zeros((1, 1))
    found = [device._relax(program, zero, zero, (8.0,), [np.random.default_rng(k)], [0]) for k in range(runs)]
    read, left = (
        np.array([volts.ravel()[0] for volts in row]) for row in ([v.cells for v in found], [v.left for v in found])
    )
    netlist = program.circuit(np.zeros(1), np.zeros(1), OnePole(INTEGRATED.opamp, noisy=True))
    charge = noise_covariance(netlist, [("p1", "ep1"), ("m1", "em1")])
    wanted = charge[0, 0] + charge[1, 1] - 2 * charge[0, 1]
    assert abs((left**2).mean() / wanted - 1) < 4 * math.sqrt(2 / runs)
    assert (read**2).mean() / (left**2).mean() > 4


@pytest.mark.slow
def test_slow_noise_goes_on_from_run_to_run_and_auto_zero_removes_it():
    slow = INTEGRATED.replace(
        opamp__noise_voltage_corner=1e6,
        opamp__noise_voltage=2e-8,
        opamp__offset=0.0,
        adc__bandwidth=3e5,
        adc__bits=None,
        adc__noise=0.0,
        adc__offset=0.0,
        adc__gain_error=0.0,
        dac__bits=None,
        dac__offset=0.0,
        dac__gain_error=0.0,
    )
    one, system = torch.zeros(1, dtype=torch.float64), Dense(torch.eye(1, dtype=torch.float64))

    def spread(read_out):
        found = []
        for seed in range(40):
            device = SpiceDevice(slow, None, "crossbar", seed=seed, read_out=read_out)
            device.solve(system, one, 40.0)
            found.append(
                float(device.probe.read[0]) - (0.0 if device.probe.zero is None else float(device.probe.zero[0]))
            )
        return float(np.mean(np.square(found)))

    # 1.1 expected of processes that go on, 2 of independent runs; ratios of 40 squares each scatter by 0.3.
    assert spread(ReadOut(auto_zero=True)) < 1.0 * spread(ReadOut())


def test_a_restored_device_goes_on_with_its_slow_noise():
    device = SpiceDevice(INTEGRATED, 1, "crossbar")
    system, b = Dense(torch.eye(2, dtype=torch.float64)), torch.ones(2, dtype=torch.float64)
    device.solve(system, b, 2.0)
    kept, stranger = SpiceDevice(INTEGRATED, 1, "crossbar"), SpiceDevice(INTEGRATED, 1, "crossbar")
    state = device.state_dict()
    kept.load_state_dict(state)
    stranger.load_state_dict({**state, "slow_noise": {}})
    wanted = device.solve(system, b, 2.0)
    kept.solve(system, b, 2.0)
    stranger.solve(system, b, 2.0)
    np.testing.assert_array_equal(kept.probe.settled, device.probe.settled)
    assert wanted.outcome.value == "ok"
    assert not np.array_equal(stranger.probe.settled, device.probe.settled)


def test_output_resistance_is_read_through_a_pole():
    volts = readings(BREADBOARD, 1000, 2.0, Macromodel(BREADBOARD.opamp))
    program = lay_out(ONE, "crossbar_single", BREADBOARD)
    circuit = SimulatedCircuit(program, Macromodel(BREADBOARD.opamp), bandwidth=100 * BREADBOARD.opamp.gbw)
    assert abs(volts.var() / circuit.covariance()[0, 0] - 1) < 3.5 * math.sqrt(2 / 1000)


def test_noise_in_a_transient_is_one_of_the_law_and_thirteen_of_that_without_amplifiers():
    program, zero = lay_out(ONE, "crossbar", INTEGRATED), np.zeros(1)
    circuit = SimulatedCircuit(program)
    analysis = dataclasses.replace(transient(program, 3000.0, johnson_noise=True), nodes=circuit.nodes)
    found = run(circuit.netlist(zero, zero, True), analysis, seed=2, currents=circuit.noise(float(analysis.step)))
    power = float((circuit.read(found.voltages)[:, 100:] ** 2).mean())
    assert power / circuit.covariance()[0, 0] == pytest.approx(1.0, abs=4 * math.sqrt(2 / 3000))
    assert power / law(INTEGRATED, noisy=False)[0, 0] == pytest.approx((146 / 40.6) ** 2, rel=0.1)


@pytest.mark.parametrize("bandwidth", [math.inf, 1e9, 1.2e6])
def test_steps_of_a_noisy_run_resolve_the_way(bandwidth):
    program, zero = lay_out(np.array([[1.0, 0.4], [0.4, 0.8]]), "crossbar", INTEGRATED), np.zeros(2)
    circuit, drive = SimulatedCircuit(program, bandwidth=bandwidth), program.currents(np.array([1.0, -0.5]))
    analysis = dataclasses.replace(transient(program, 50.0, johnson_noise=True), nodes=circuit.nodes)
    netlist, nothing = circuit.netlist(drive, zero, True), NoiseCurrents(("p1",), np.zeros((1, 1)), analysis.step)
    found = run(netlist, analysis, seed=1, currents=nothing)
    exact = state_space(netlist, {node: (node, "0") for node in circuit.nodes}).transition(found.time)
    wanted = circuit.read(dict(zip(circuit.nodes, exact.T, strict=True)))
    off = np.abs(circuit.read(found.voltages) - wanted).max(axis=0) / np.abs(wanted).max()
    late = found.time > 10 * program.tau
    assert off.max() < 4e-4
    assert off[late].max() < 4e-5
    # Of a step eight times as long it shows.
    coarse = dataclasses.replace(analysis, step=8 * analysis.step, stop=100 * 8 * analysis.step)
    other = run(netlist, coarse, seed=1, currents=dataclasses.replace(nothing, step=coarse.step))
    exact = state_space(netlist, {node: (node, "0") for node in circuit.nodes}).transition(other.time)
    wanted = circuit.read(dict(zip(circuit.nodes, exact.T, strict=True)))
    assert np.abs(circuit.read(other.voltages) - wanted).max() / np.abs(wanted).max() > 4e-4


def test_noise_of_oscillators_in_ngspice_is_lyapunovs_and_no_equipartition():
    """Resistors at unequal temperatures and amplifiers' noise, into positions and velocities; blocks give the standard errors."""
    quiet = {"opamp__second_pole": math.inf, "opamp__noise_voltage_corner": 0.0, "opamp__noise_current_corner": 0.0}
    program = lay_out(np.array([[1.0, 0.5], [0.5, 0.9]]), "oscillator", INTEGRATED.replace(**quiet))
    warm = np.array([250.0, 500.0])
    parts = dataclasses.replace(program.parts, drive_temperature=warm, coupling_temperature=np.outer(warm, [1.0, 1.0]))
    program = dataclasses.replace(program, parts=parts)
    law, circuit = program.fabric.linear_law(parts, program.technology), SimulatedCircuit(program)
    netlist = circuit.netlist(np.zeros(2), np.zeros(2), noisy=True)
    analysis = dataclasses.replace(transient(program, 600.0, True), nodes=circuit.kept_nodes(netlist, True))
    found = run(netlist, analysis, seed=3, currents=circuit.noise(analysis.step))
    samples = circuit.course(found.voltages)[:, 400:]
    noise = law.johnson + law.amplifiers
    exact = law.kept @ solve_continuous_lyapunov(law.drift, -noise) @ law.kept.T

    def largest(covariance):
        """Of deviations of the whitened covariance from 1, in standard errors."""
        white = np.linalg.solve(np.linalg.cholesky(covariance), samples)
        blocks = np.stack([block @ block.T / block.shape[1] for block in np.array_split(white, 30, axis=1)])
        away, error = blocks.mean(axis=0) - np.eye(4), blocks.std(axis=0, ddof=1) / math.sqrt(30)
        return np.abs(away / error).max()

    # Ten entries; chance is beyond it once in 500 seeds.
    assert largest(exact) < 3.7
    inverse, shared = np.linalg.inv(program.matrix), np.zeros((4, 4))
    shared[:2, :2] = inverse * np.trace(exact[:2, :2]) / np.trace(inverse)
    shared[2:, 2:] = np.eye(2) * np.trace(exact[2:, 2:]) / 2
    assert largest(shared) > 4.5
