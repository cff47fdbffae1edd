"""The law of oscillators with each rail's own parts, against the state space of the emitted netlist, which shares no formula with it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, solve_continuous_lyapunov

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.linear.noise_spectra import noise_covariance
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.parts import OpAmp
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.fabrics.oscillators import modes
from thermograd.compiler.fabrics.oscillators.dynamics import OscillatorDynamics

from ....systems import spd

TECHNOLOGY = preset("integrated").replace(
    resistors__tolerance=0.05,
    resistors__bits=None,
    capacitors__tolerance=0.05,
    opamp__offset=1e-3,
    opamp__noise_voltage_corner=0.0,
    opamp__noise_current_corner=0.0,
    thermal__johnson_noise=True,
)
SPEEDS = {
    "one pole": {"opamp__second_pole": np.inf},
    "second pole": {"opamp__second_pole": 1.5e9},
    "no pole": {"opamp__gbw": np.inf, "opamp__second_pole": np.inf},
}
N = 4
OUTPUTS = {f"x{k}": (f"p{k}", f"m{k}") for k in range(1, N + 1)} | {
    f"v{k}": (f"vp{k}", f"vm{k}") for k in range(1, N + 1)
}
CURRENTS = np.array([1e-6, -2e-6, 3e-6, 0.0])
STATE = np.array([0.1, -0.2, 0.3, 0.05, 0.2, -0.1, 0.05, 0.4])


def die_of(speed: str, **changes):
    technology = TECHNOLOGY.replace(**SPEEDS[speed] | changes)
    return lay_out(spd(N, 100.0, 1), "oscillator", technology).on(Die(technology, 3))


def netlist_of(program, currents=None, state=None, noisy=False):
    """With the amplifiers that the law has."""
    names = ["outputs", "gain", "gbw", "second_pole"] + (["noise_voltage", "noise_current"] if noisy else [])
    cell = Macromodel(OpAmp(**{name: getattr(program.technology.opamp, name) for name in names}))
    n = program.size
    return program.circuit(
        np.zeros(n) if currents is None else currents, np.zeros(2 * n) if state is None else state, cell
    ).linearised()


def law_of(program):
    return program.fabric.linear_law(program.parts, program.technology)


def distance(found, wanted):
    """Largest relative distance of two sets of natural frequencies."""
    return float((np.abs(found[:, None] - wanted).min(axis=0) / np.abs(wanted)).max())


@pytest.mark.parametrize("speed", SPEEDS)
def test_every_natural_frequency_and_every_path_is_that_of_the_netlist(speed):
    program = die_of(speed)
    law, space = law_of(program), state_space(netlist_of(program, CURRENTS, STATE), OUTPUTS)
    found = np.linalg.eigvals(law.drift)
    assert len(found) == len(space.eigenvalues)
    assert distance(found, space.eigenvalues) < 1e-8
    rest = -np.linalg.solve(law.drift, law.drive @ CURRENTS + law.constant)
    start = law.start @ STATE
    # What is kept are the capacitors' charges; here the outputs themselves, of the first rail.
    shown = 2 * np.concatenate([law.outputs.volts[:N], law.outputs.volts[2 * N : 3 * N]])
    for tau in (1e-3, 0.1, 1.0, 10.0, 100.0):
        seen = shown @ (rest + expm(law.drift * tau * program.tau) @ (start - rest))
        np.testing.assert_allclose(seen, space.transition(tau * program.tau), atol=1e-8)
    at_rest = program.fabric.at_rest(program.parts, program.technology)
    settled = np.linalg.solve(at_rest.matrix, at_rest.drive * CURRENTS + at_rest.offset)
    np.testing.assert_allclose(settled, space.equilibrium()[:N], rtol=1e-9)
    # Negative control: with both rails alike, as the means are, the path is another one.
    mean = {name: np.broadcast_to(kind.mean(axis=0), kind.shape) for name, kind in program.parts.rail_values()}
    other = law_of(dataclasses.replace(program, parts=dataclasses.replace(program.parts, **mean)))
    assert other.order < law.order
    assert np.abs(other.read @ np.linalg.solve(other.drift, other.drive @ CURRENTS) + settled).max() > 1e-7


@pytest.mark.parametrize("speed", ["one pole", "no pole"])
def test_johnson_noise_of_every_resistor_is_the_netlists(speed):
    program = die_of(speed)
    warm = np.linspace(280.0, 400.0, N)
    parts = dataclasses.replace(
        program.parts, drive_temperature=warm, coupling_temperature=np.add.outer(warm, warm) / 2
    )
    program = dataclasses.replace(program, parts=parts)
    law = law_of(program)
    wanted = state_space(netlist_of(program), OUTPUTS).covariance()[:N, :N]
    found = law.read @ solve_continuous_lyapunov(law.drift, -law.johnson) @ law.read.T
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9 * wanted.max())
    cold = law_of(dataclasses.replace(program, parts=dataclasses.replace(parts, drive_temperature=warm[::-1])))
    wrong = cold.read @ solve_continuous_lyapunov(cold.drift, -cold.johnson) @ cold.read.T
    assert np.abs(wrong / wanted - 1).max() > 0.01


def test_amplifiers_noise_is_the_netlists():
    program = die_of("second pole", opamp__noise_voltage=5e-8, opamp__noise_current=2e-11)
    law = law_of(program)
    pairs = list(OUTPUTS.values())[:N]
    wanted = noise_covariance(netlist_of(program, noisy=True), pairs)
    found = law.read @ solve_continuous_lyapunov(law.drift, -(law.johnson + law.amplifiers)) @ law.read.T
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8 * wanted.max())
    resistors = law.read @ solve_continuous_lyapunov(law.drift, -law.johnson) @ law.read.T
    assert (np.diag(resistors) < np.diag(wanted) / 2).all()


def test_spectra_and_frequencies_of_the_law_are_those_of_its_admittance():
    """R (s - F)^-1 Q (s - F)^-H R^T = Y^-1 S Y^-H, and R (s - F)^-1 B = Y^-1 drive, to the change of the rails' weights with s."""
    program = die_of("second pole", opamp__noise_voltage=5e-8, opamp__noise_current=2e-11)
    law, noise = law_of(program), program.fabric.noise(program.parts, program.technology)
    for frequency in (1e3, 1e6, 3e7, 1e9):
        reach = law.read @ np.linalg.inv(2j * np.pi * frequency * np.eye(law.order) - law.drift)
        found = noise(frequency)
        held = np.linalg.inv(found.admittance)
        for density, kind in ((law.johnson, found.johnson), (law.amplifiers, found.amplifiers)):
            seen = held @ kind @ held.conj().T
            np.testing.assert_allclose(reach @ density @ reach.conj().T, seen, atol=1e-8 * np.abs(seen).max())


def test_currents_out_of_the_amplifiers_are_those_of_the_parts_that_they_drive():
    program = die_of("one pole", opamp__offset=0.0)
    law, netlist = law_of(program), netlist_of(program, CURRENTS, STATE)
    outputs = [f"{name}{k}" for name in ("p", "m", "vp", "vm") for k in range(1, N + 1)]
    nodes = {node: (node, "0") for node in netlist.nodes}
    space, when = state_space(netlist, nodes), 0.7 * program.tau
    volts = dict(zip(space.outputs, space.transition(when), strict=True)) | {"0": 0.0}
    later = dict(zip(space.outputs, space.transition(when * (1 + 1e-7)), strict=True)) | {"0": 0.0}
    drawn = dict.fromkeys(outputs, 0.0)
    for part in netlist:
        if type(part).__name__ not in ("Resistor", "Capacitor"):
            continue
        across = volts[part.a] - volts[part.b]
        if type(part).__name__ == "Capacitor":
            current = part.capacitance * (later[part.a] - later[part.b] - across) / (1e-7 * when)
        else:
            current = across / part.resistance
        for node, sign in ((part.a, 1), (part.b, -1)):
            if node in drawn:
                drawn[node] += sign * current
    rest = -np.linalg.solve(law.drift, law.drive @ CURRENTS)
    state = rest + expm(law.drift * when) @ (law.start @ STATE - rest)
    np.testing.assert_allclose(law.outputs.volts @ state, [volts[node] for node in outputs], atol=1e-9)
    found = law.outputs.amperes @ state + law.outputs.drive @ CURRENTS
    np.testing.assert_allclose(found, list(drawn.values()), atol=1e-5 * np.abs(found).max())


@settings(max_examples=40)
@given(
    n=st.integers(1, 6),
    seed=st.integers(0, 10**4),
    condition=st.floats(1.0, 1e4),
    speed=st.floats(1.0, 1e3),
    second=st.floats(0.3, 30.0),
    two_poles=st.booleans(),
    compensated=st.booleans(),
    alike=st.booleans(),
)
def test_growing_modes_are_those_of_the_netlist(n, seed, condition, speed, second, two_poles, compensated, alike):
    """Of amplifiers from far too slow to fast, with and without R_z, by all modes and by the slow ones where these tell."""
    technology = preset("ideal").replace(
        opamp__gain=2e3,
        opamp__gbw=speed / 1e-6 / (2 * np.pi),
        opamp__second_pole=second * speed / 1e-6 / (2 * np.pi) if two_poles else np.inf,
        resistors__tolerance=0.02,
        capacitors__tolerance=0.02,
    )
    program = lay_out(spd(n, condition, seed), "oscillator", technology)
    if not compensated:
        parts = dataclasses.replace(program.parts, series=0 * program.parts.series)
        program = dataclasses.replace(program, parts=parts)
    if not alike:
        program = program.on(Die(technology, seed))
    values = state_space(netlist_of(program), {}).eigenvalues
    # One that is zero to rounding is neither.
    if abs(values[0].real) > 1e-9 * np.abs(values).max():
        assert program.grows() == (values[0].real > 0)
        slow = modes._slow_modes_decay(OscillatorDynamics.of(program.parts, technology))
        assert slow is None or slow == (values[0].real < 0)


def test_the_slow_modes_tell_for_large_systems_of_fast_amplifiers(monkeypatch):
    program = die_of("second pole")
    law = OscillatorDynamics.of(program.parts, program.technology)
    slowest = modes.slowest_time(law)
    monkeypatch.setattr(modes, "EXACT", 2)
    assert modes._slow_modes_decay(law) is True
    assert modes.decays(law)
    assert modes.slowest_time(law) == pytest.approx(slowest, rel=1e-4)
    bare = dataclasses.replace(law, series=0 * law.series, lag=2 * law.lag, friction=0.02 * law.friction)
    assert modes._slow_modes_decay(bare) is False
    assert modes.slowest_time(bare) == np.inf
