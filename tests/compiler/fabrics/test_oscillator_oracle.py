"""The compiled oscillators against their equations written out in `oscillator_oracle`, and these against a netlist written by hand."""

import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import circulant

from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix

from ...systems import spd
from .oscillator_oracle import KT, OscillatorArray

HAND = Path(__file__).with_name("two_oscillators.cir")
GAIN, GBW = 2e3, 5e8
W_T = 2 * np.pi * GBW
AMPLIFIERS = preset("ideal").replace(
    resistors__unit=1e4, capacitors__unit=1e-11, opamp__gain=GAIN, opamp__gbw=GBW, thermal__johnson_noise=True
)


def bare(program):
    """The same circuit without the resistors in series with its position capacitors."""
    return dataclasses.replace(program, parts=dataclasses.replace(program.parts, series=0 * program.parts.series))


def written_out(program, R_z=None):
    """The oracle's equations with the program's parts, whose rails are alike."""
    parts = program.parts
    return OscillatorArray(
        parts.matrix(),
        parts.friction[0],
        parts.link[0, 0],
        parts.drive[0],
        parts.velocity_capacitance[0, 0],
        parts.capacitance[0, 0],
        GAIN,
        W_T,
        parts.series[0, 0] if R_z is None else R_z,
    )


def space_of(program, b):
    return state_space(program.netlist(b), {str(k): pair for k, pair in enumerate(program.readouts)})


def test_the_equations_are_those_of_a_netlist_written_by_hand(tmp_path):
    times = np.array([1e-6, 3e-6, 8e-6, 2e-5])
    measure = [f"meas tran x{k}_{j} find a{k} at={t}" for k in (1, 2) for j, t in enumerate(times)]
    control = [
        ".options reltol=1e-6 abstol=1e-15 vntol=1e-12 chgtol=1e-20",
        ".control",
        "tran 10n 20.02u 0 10n uic",
        *(f"let a{k} = v(p{k}) - v(m{k})" for k in (1, 2)),
        *measure,
        "op",
        "let y1 = v(p1) - v(m1)",
        "let y2 = v(p2) - v(m2)",
        "print y1 y2",
        "quit",
        ".endc",
        ".end",
    ]
    deck = tmp_path / "deck.cir"
    deck.write_text(HAND.read_text().replace("\n.end\n", "\n" + "\n".join(control) + "\n"))
    done = subprocess.run(["ngspice", "-b", str(deck)], capture_output=True, text=True, check=False)
    found = {
        words[0]: float(words[2])
        for words in map(str.split, done.stdout.splitlines())
        if len(words) == 3 and words[1] == "="
    }
    g = 1e-3
    array = OscillatorArray(
        g * np.array([[1.0, -0.4], [-0.4, 0.5]]),
        np.full(2, 0.3 * g),
        g,
        np.full(2, g),
        1e-9,
        1e-9,
        2e3,
        2 * np.pi * 2e7,
        15.915494309,
    )
    drive = np.array([1e-5, -4e-6])
    seen = np.array([[found[f"x{k}_{j}"] for k in (1, 2)] for j in range(len(times))])
    largest = np.abs(array.at_rest(drive)).max()
    np.testing.assert_allclose(seen, array.transient(drive, times), atol=3e-5 * largest)
    np.testing.assert_allclose([found["y1"], found["y2"]], array.at_rest(drive), atol=1e-6 * largest)
    # Negative control: without the resistors in series the curves differ by more than that.
    array.R_z = 0.0
    array.__post_init__()
    assert np.abs(seen - array.transient(drive, times)).max() > 1e-3 * largest


@pytest.mark.parametrize("compensated", [True, False])
def test_a_compiled_circuit_obeys_the_equations(compensated):
    a, b = 20 * spd(4, 1e3, 1), np.array([1.0, -2.0, 0.5, 1.0])
    program = compile_matrix(a, "oscillator", AMPLIFIERS, b=b)
    program = program if compensated else bare(program)
    array, space, currents = written_out(program), space_of(program, b), program.currents(b)
    law = program.fabric.linear_law(program.parts, program.technology)
    slowest = array.roots[:8]
    for found in (space.eigenvalues, np.linalg.eigvals(law.drift)):
        ordered = found[np.argsort(-found.real)][:8]
        np.testing.assert_allclose(ordered.real, slowest.real, rtol=1e-6)
        np.testing.assert_allclose(np.abs(ordered.imag), np.abs(slowest.imag), rtol=1e-6)
    np.testing.assert_allclose(space.equilibrium(), array.at_rest(currents), rtol=1e-8)
    np.testing.assert_allclose(space.covariance(), array.covariance(), rtol=1e-6)
    times = np.array([0.3, 3.0, 30.0]) * program.tau
    np.testing.assert_allclose(space.transition(times), array.transient(currents, times), rtol=1e-6, atol=1e-9)
    other = written_out(program, R_z=0.0 if compensated else 30.0)
    assert np.abs(other.roots[:8].real / slowest.real - 1).max() > 0.01


def test_finite_bandwidth_is_a_friction_of_minus_two_lambda_over_w_and_r_z_takes_it_back():
    """Re of a swinging mode is half its friction, to first order of 1 / w, whatever the row loads are."""
    a = 20 * spd(4, 1e3, 1)
    technology = AMPLIFIERS.replace(opamp__gain=1e8)
    program = compile_matrix(a, "oscillator", technology)
    tau, values = program.tau, np.linalg.eigvalsh(a)[1:]
    for one, taken_back in ((program, 1.0), (bare(program), 0.0)):
        roots = space_of(one, None).eigenvalues
        roots = roots[(roots.imag > 0.1 / tau * np.sqrt(values[0]))][: len(values)]
        roots = roots[np.argsort(roots.imag)]
        friction = -2 * roots.real * tau
        expected = 2 * np.sqrt(np.linalg.eigvalsh(a)[0]) - (1 - taken_back) * 2 * values / (W_T * tau)
        np.testing.assert_allclose(friction, expected, rtol=0.03)


def test_an_ideal_array_settles_with_the_root_of_its_smallest_eigenvalue():
    """Started in the slowest mode: (1 + s t) exp(-s t), s^2 = lambda_min, which is 1e-3 at s t = 9.23."""
    a = spd(5, 1e3, 3)
    values, vectors = np.linalg.eigh(a)
    program = compile_matrix(a, "oscillator", "ideal", b=vectors[:, 0])
    space, scaled_times = space_of(program, vectors[:, 0]), np.array([1.0, 4.0, 9.2334])
    left = space.transition(scaled_times * program.tau / np.sqrt(values[0])) - space.equilibrium()
    found = np.linalg.norm(left, axis=1) / np.linalg.norm(space.equilibrium())
    np.testing.assert_allclose(found, (1 + scaled_times) * np.exp(-scaled_times), rtol=1e-4)
    assert found[-1] == pytest.approx(1e-3, rel=1e-3)


def test_noise_goes_with_the_row_load_and_not_with_the_friction():
    """Rows of equal load: Cov = 2 (k T / C) [(L / u) (h / Gamma) A^-1 + h / Gamma + Gamma / u A^-1], as rails have half of it each."""
    a = circulant([1.0, -0.4, 0.1, -0.4])
    program = compile_matrix(a, "oscillator", preset("ideal").replace(thermal__johnson_noise=True))
    parts, inverse = program.parts, np.linalg.inv(a)
    u, h, friction = program.conductance_unit, parts.link[0, 0], parts.friction[0, 0]
    load = u * np.abs(a).sum(axis=1)[0] + parts.drive[0, 0] + friction
    expected = (load / u * inverse + np.eye(4)) * h / friction + friction / u * inverse
    found = space_of(program, None).covariance() / (2 * KT / parts.capacitance[0, 0])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * expected.max())
    # Equipartition of the elastic energy, k T (u A)^-1 C / C a rail, is another law.
    assert np.abs(found - inverse).max() > expected.max() / 2
