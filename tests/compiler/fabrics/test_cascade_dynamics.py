"""The linear law of a cascade on a die against the state space of its own netlist; its parts on a die, and what heats them."""

import math

import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov

from thermograd.circuits.amplifiers.models import Macromodel, OnePole
from thermograd.circuits.linear.noise_spectra import noise_covariance
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import Resistor
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_system
from thermograd.compiler.fabrics.cascade_dynamics import CascadeDynamics
from thermograd.compiler.fabrics.cascade_stability import grows
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.compiler.factors import low_rank_factors
from thermograd.devicemodel.cascade.cells import StandardDeviations
from thermograd.devicemodel.cascade.kronecker_array import KroneckerArray
from thermograd.devicemodel.cascade.low_rank_array import LowRankArray

from ...systems import kronecker, low_rank

RNG = np.random.default_rng(3)
J, H = RNG.standard_normal((3, 5)), np.array([[1.0, 0.2, 0.0], [0.2, 0.6, -0.1], [0.0, -0.1, 0.4]])
SYSTEMS = {"core": low_rank(J, H, 0.5), "plain": low_rank(J, None, 0.5), "kronecker": kronecker(H, H[:2, :2], 0.3)}
ONE_POLE = preset("integrated").replace(opamp__second_pole=math.inf, opamp__noise_voltage_corner=0.0)
SIGMAS = {"mismatch": 0.05, "capacitor_mismatch": 0.05, "offset": 3e-3}


def on_die(system, technology, seed=3):
    return compile_system(system, "factored", technology, check=False).on(Die(technology, seed), **SIGMAS)


def moved(law, currents, start, seconds):
    whole = np.zeros((law.order + 1, law.order + 1))
    whole[:-1, :-1], whole[:-1, -1] = law.drift, law.drive @ currents + law.constant
    return (expm(whole * seconds) @ np.append(law.start @ start, 1.0))[:-1]


@pytest.mark.parametrize("name", list(SYSTEMS))
@pytest.mark.parametrize("gbw", [5e8, math.inf])
def test_the_law_is_that_of_the_netlist_of_a_die(name, gbw):
    technology = ONE_POLE.replace(opamp__gbw=gbw, **({"opamp__noise_voltage": 0.0} if math.isinf(gbw) else {}))
    program = on_die(SYSTEMS[name], technology)
    n, rng = program.size, np.random.default_rng(1)
    currents, start = 1e-6 * rng.standard_normal(n), 0.1 * rng.standard_normal(n)
    circuit = state_space(program.circuit(currents, start), {str(k): pair for k, pair in enumerate(program.readouts)})
    law = program.fabric.linear_law(program.parts, technology)
    assert law.order == circuit.size
    np.testing.assert_allclose(law.kept @ law.start, np.eye(n), atol=1e-14)
    for times in (0.01, 1.3, 50.0):
        ends = circuit.transition(times * program.tau)
        found = law.read @ moved(law, currents, start, times * program.tau)
        np.testing.assert_allclose(found, ends, rtol=0, atol=1e-10 * np.abs(ends).max())
    rest = program.fabric.at_rest(program.parts, technology)
    settled = np.linalg.solve(rest.matrix, rest.drive * currents + rest.offset)
    held = circuit.equilibrium()
    np.testing.assert_allclose(settled, held, rtol=0, atol=1e-12 * np.abs(held).max())
    johnson = law.read @ solve_continuous_lyapunov(law.drift, -law.johnson) @ law.read.T
    exact = circuit.covariance()
    np.testing.assert_allclose(johnson, exact, rtol=0, atol=1e-9 * np.abs(exact).max())
    # Negative control: rails that are alike, each the mean of this die's, differ in second order.
    alike = program.fabric.at_rest(compile_system(SYSTEMS[name], "factored", technology, check=False).parts, technology)
    assert np.abs(np.linalg.solve(alike.matrix, currents) - held).max() > 1e-3 * np.abs(held).max()


@pytest.mark.parametrize("pole", [math.inf, 1.5e9])
def test_amplifiers_noise_and_second_pole_are_those_of_the_macromodel(pole):
    technology = preset("integrated").replace(
        opamp__second_pole=pole,
        opamp__slew=math.inf,
        opamp__output_current=math.inf,
        opamp__noise_voltage_corner=0.0,
        opamp__noise_current=1e-12,
        opamp__noise_voltage=2e-8,
    )
    program = on_die(SYSTEMS["core"], technology)
    law, zero = program.fabric.linear_law(program.parts, technology), np.zeros(program.size)
    amplifier = OnePole(technology.opamp, noisy=True) if math.isinf(pole) else Macromodel(technology.opamp)
    netlist = program.circuit(zero, zero, amplifier).linearised()
    exact = noise_covariance(netlist, list(program.readouts))
    found = law.read @ solve_continuous_lyapunov(law.drift, -law.johnson - law.amplifiers) @ law.read.T
    # The clamp of the macromodel leaks a little.
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-3 * np.abs(exact).max())
    frequencies = np.geomspace(1.0, 1e13, 400)
    density = program.fabric.noise(program.parts, technology)
    spectra = []
    for frequency in frequencies.tolist():
        one = density(frequency)
        reach = np.linalg.inv(one.admittance)
        spectra.append(2 * (reach @ (one.johnson + one.amplifiers) @ reach.conj().T).real)
    total = np.trapezoid(np.array(spectra), frequencies, axis=0)
    np.testing.assert_allclose(total, found, rtol=0, atol=1e-2 * np.abs(found).max())
    # Negative control: amplifiers' noise is a good part.
    assert np.trace(law.amplifiers) > 0.1 * np.trace(law.johnson)


def test_slow_noise_goes_into_every_amplifier():
    technology = ONE_POLE.replace(opamp__noise_voltage_corner=1e5, opamp__noise_current=1e-12)
    program = on_die(SYSTEMS["core"], technology)
    law = program.fabric.linear_law(program.parts, technology)
    n, amplifiers = program.size, program.size + 2 * 3
    assert {source.into.shape for source in law.slow} == {(law.order, n)}
    for kind, inputs in (("voltage", 1), ("current", 2)):
        found = np.concatenate([source.into for source in law.slow if source.kind == kind], axis=1)
        assert int(found.any(axis=0).sum()) == inputs * amplifiers


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("name", list(SYSTEMS))
def test_a_program_on_a_die_has_the_parts_of_the_cascade_device(name, bits):
    technology = preset("ideal").replace(resistors__bits=bits, resistors__die_to_die=0.05)
    system, seed = SYSTEMS[name], 5
    die = Die(technology, seed)
    array = (KroneckerArray if name == "kronecker" else LowRankArray)(system, die, StandardDeviations(0.05, 0.05, 3e-3))
    parts = on_die(system, technology, seed).parts
    feedback = array.feedback if isinstance(array.feedback, list) else [array.feedback]
    offsets = array.stage_offsets if isinstance(array.stage_offsets, list) else [array.stage_offsets]
    pairs = [*zip(parts.feedback, feedback, strict=True), *zip(parts.offsets[:-1], offsets, strict=True)]
    pairs += [(getattr(parts, part), getattr(array, part)) for part in ("damping", "drive", "capacitance", "offset")]
    first, last = parts.arrays[0].toarray(), parts.arrays[-1].toarray()
    if isinstance(array, LowRankArray):
        every = slice(0, array.size)
        pairs += [(first, array.conductances(0, every)), (last, array.conductances(1, every).T)]
        pairs += [] if array.middle is None else [(parts.arrays[1].toarray(), array.middle)]
    else:
        p, q = array.shape
        first, last = first.reshape(p, q, p, q), last.reshape(p, q, p, q)
        pairs += [(first[i, :, i], array.conductances(0, slice(i, i + 1))[0]) for i in range(p)]
        pairs += [(last[:, j, :, j], array.conductances(1, slice(j, j + 1))[0]) for j in range(q)]
    for compiled, drawn in pairs:
        np.testing.assert_allclose(compiled, drawn, rtol=1e-12, atol=1e-30)
    # Negative control: another die.
    assert not np.allclose(on_die(system, technology, seed + 1).parts.arrays[0].data, parts.arrays[0].data, rtol=1e-3)


def test_rails_of_a_pair_deviate_independently_by_the_resistors_mismatch():
    technology = preset("ideal")
    wide = low_rank(np.ones((20, 100)), None, 1.0)
    parts = on_die(wide, technology).parts
    deviations = np.log(parts.by_rail()[0] / parts.by_rail()[0].mean())
    count = deviations.shape[1]
    for rail in deviations:
        assert rail.std() == pytest.approx(0.05, rel=4 / math.sqrt(2 * count))
    assert abs(np.corrcoef(deviations)[0, 1]) < 4 / math.sqrt(count)


def test_drifted_written_and_redriven_parts_keep_their_own_deviates():
    technology = preset("ideal").replace(resistors__conductance_drift_spread=0.01, resistors__drive_ranges=3)
    die, parts = Die(technology, 3), on_die(SYSTEMS["core"], technology).parts
    aged = parts.aged(die, lambda z: np.exp(-z))
    ratio = np.log(aged.by_rail()[0] / parts.by_rail()[0])
    assert len(np.unique(ratio)) == ratio.size
    everything = np.concatenate(
        [np.log(a / b).ravel() for a, b in zip(aged.by_rail()[:3], parts.by_rail()[:3], strict=True)]
    )
    assert len(np.unique(everything)) == len(everything)
    np.testing.assert_array_equal(aged.feedback[0], parts.feedback[0])
    np.testing.assert_allclose(
        parts.change_programmed(lambda values, place: values).arrays[2].data, parts.arrays[2].data, rtol=1e-14
    )
    driven = parts.with_drive(parts.drive_nominal / 2, die, 0.05)
    assert driven.drive_nominal == parts.drive_nominal / 2
    assert (driven.drive / parts.drive / 0.5 - 1).std() > 0.01
    np.testing.assert_allclose(driven.apart[0], parts.apart[0], rtol=1e-10)


def test_heat_of_a_die_is_what_ngspice_finds_in_its_resistors():
    technology = preset("integrated")
    # With rails that are alike, which the law takes; offsets are as large as the signal.
    nominal = compile_system(SYSTEMS["core"], "factored", technology, check=False)
    program = nominal.on(Die(technology, 3), mismatch=0.0, capacitor_mismatch=0.0, offset=0.03)
    b = np.random.default_rng(2).standard_normal(program.size)
    netlist = program.netlist(b)
    found = run(netlist, OperatingPoint()).voltages | {"0": 0.0}
    exact = {part.name: (found[part.a] - found[part.b]) ** 2 / part.resistance for part in netlist.of(Resistor)}
    heat = program.parts.dissipation(program.cell_volts(found), program.currents(b), technology.opamp.gain)
    own = sum(watts for name, watts in exact.items() if name[1].isdigit() or name[1] in "FL")
    assert heat.coupling.sum() == pytest.approx(own, rel=1e-5)
    assert heat.drive.sum() == pytest.approx(sum(watts for name, watts in exact.items() if name[1] == "B"), rel=1e-5)
    assert heat.coupling.shape[1] == len(program.parts.coupling_places()[0])


def test_what_is_known_of_stability_agrees_with_all_natural_frequencies():
    rng, fabric, seen = np.random.default_rng(1), fabric_named("factored"), set()
    for seed in range(40):
        n, k = rng.integers(1, 8), rng.integers(1, 6)
        core = rng.standard_normal((k, k))
        technology = preset("integrated").replace(
            opamp__gbw=float(10 ** rng.uniform(4.5, 9)),
            opamp__second_pole=float(10 ** rng.uniform(5, 9.5)),
            opamp__noise_voltage=0.0,
        )
        factors = low_rank_factors(rng.standard_normal((k, n)), core @ core.T)
        parts, _ = fabric.place_factors(factors, float(10 ** rng.uniform(-3, 1)), np.ones(n), technology)
        sigma = float(10 ** rng.uniform(-4, -1))
        dynamics = CascadeDynamics.of(parts.on_die(Die(technology, seed), sigma, sigma, 1e-3), technology)
        exact = bool(np.linalg.eigvals(dynamics.linear_law().drift).real.max() >= 0)
        assert grows(dynamics) == exact
        seen.add(exact)
    assert seen == {True, False}
