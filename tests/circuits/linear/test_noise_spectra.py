"""Noise by spectrum, by band and by Lyapunov: each against a law of its own, then three routes on ten circuits."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.constants import k
from scipy.linalg import solve_continuous_lyapunov
from scipy.signal import lfilter

from thermograd.circuits.errors import InputError
from thermograd.circuits.linear.johnson import NoiseCurrents, johnson_currents
from thermograd.circuits.linear.noise_spectra import noise_covariance, noise_spectrum
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Noise
from thermograd.circuits.netlist.elements import Capacitor, CurrentSource, Inductor, Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.matrices import comparison_matrix

from ...systems import passive, spd
from ..networks import differential_array, heated, integrators, mesh, one_rc, random_rc, silenced

KT = k * 300.15
EVERYTHING = (0.0, np.inf)


def load_routes():
    """benchmarks/circuits/noise_routes.py, where the ten circuits are; the folder is no package."""
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "circuits" / "noise_routes.py"
    specification = importlib.util.spec_from_file_location("noise_routes", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["noise_routes"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


ROUTES = load_routes()
CIRCUITS = ROUTES.circuits()


def deviation(found, law):
    """Largest difference, in units of the geometric mean of the law's variances."""
    spread = np.sqrt(np.diag(law))
    return np.abs((found - law) / np.outer(spread, spread)).max()


# --- the spectrum: Nyquist, detailed balance, ngspice


def is_balanced(spectrum):
    """Detailed balance: no cross-spectrum has an imaginary part."""
    power = np.sqrt(np.einsum("fii->fi", spectrum.density).real)
    return bool(np.abs(spectrum.density.imag / (power[:, :, None] * power[:, None, :])).max() < 1e-9)


def test_spectrum_of_an_rc_network_is_nyquists_and_a_temperature_gradient_breaks_detailed_balance():
    """S = 4 k T Re (G + i w C)^-1, from matrices that the test network states itself."""
    rc = random_rc(6, 1)
    f = np.geomspace(1e2, 1e8, 25)
    spectrum = noise_spectrum(rc.netlist, rc.nodes, f)
    impedance = np.linalg.inv(rc.G + 2j * np.pi * f[:, None, None] * np.diag(rc.C))
    np.testing.assert_allclose(spectrum.density, 4 * KT * impedance.real, rtol=1e-9, atol=1e-12 * 4 * KT * 1e3)
    assert is_balanced(spectrum)
    hot = heated(rc.netlist, {f"R{i}": 150.0 + 75.0 * i for i in range(6)})
    assert not is_balanced(noise_spectrum(hot, rc.nodes, f))
    equipartition = KT * np.diag(1 / rc.C)
    assert deviation(noise_covariance(rc.netlist, rc.nodes), equipartition) < 1e-9
    assert deviation(noise_covariance(hot, rc.nodes), equipartition) > 0.1


def test_spectrum_of_coupled_resonators_is_real_at_one_temperature_only():
    netlist, gamma, capacitance, _ = mesh(10)
    f, nodes = np.geomspace(1e3, 1e7, 50), [f"n{i}" for i in range(4)]
    w = 2 * np.pi * f[:, None, None]
    impedance = np.linalg.inv(np.eye(4) / 1e4 + 1j * w * np.diag(capacitance) + gamma / (1j * w))
    spectrum = noise_spectrum(netlist, nodes, f)
    np.testing.assert_allclose(spectrum.density, 4 * KT * impedance.real, rtol=1e-6, atol=1e-9 * 4 * KT * 1e4)
    assert is_balanced(spectrum)
    assert not is_balanced(noise_spectrum(heated(netlist, {"R0": 600.0}), nodes, f))


def test_spectrum_of_a_long_line_is_that_of_its_continued_fraction():
    """3000 nodes, far above what dense algebra is meant for: Z = 1 / (1/R0 + iwC + 1 / (R + Z))."""
    netlist = Netlist("line")
    f = np.array([0.0, 1e3, 1e6])
    for i in range(3000):
        netlist.add(Capacitor(f"C{i}", f"n{i}", "0", 1e-12), Resistor(f"R{i}", f"n{i}", f"n{i + 1}", 1e3))
        netlist.add(Resistor(f"RG{i}", f"n{i}", "0", 1e6))
    netlist.add(Resistor("RE", "n3000", "0", 1e6))
    z = np.full(3, 1e6, dtype=complex)
    for _ in range(3000):
        z = 1 / (1e-6 + 2j * np.pi * f * 1e-12 + 1 / (1e3 + z))
    density = noise_spectrum(netlist, ["n0"], f).density[:, 0, 0].real
    np.testing.assert_allclose(density, 4 * KT * z.real, rtol=1e-9)


@pytest.mark.parametrize("circuit", CIRCUITS, ids=[circuit.name for circuit in CIRCUITS])
def test_small_signal_noise_of_ngspice_has_the_same_density(circuit):
    """Also between two nodes, through amplifiers and at several temperatures."""
    netlist = Netlist("probed")
    netlist.add(*circuit.netlist, CurrentSource("Iprobe", "0", circuit.outputs[0][0], 0.0, ac=1.0))
    plus, minus = circuit.outputs[-1]
    result = run(netlist, Noise(plus if minus == "0" else (plus, minus), "Iprobe", 1e2, 1e8, 10))
    found = noise_spectrum(circuit.netlist, [circuit.outputs[-1]], result.frequency).amplitude[:, 0]
    np.testing.assert_allclose(found, result.density, rtol=1e-6)
    assert np.abs(found / np.sqrt(2) / result.density - 1).min() > 0.29  # the two-sided density is another number


def test_total_of_ngspice_is_kt_over_c():
    tank, _, (capacitance,), _ = mesh(2.0, n=1)
    tank.add(CurrentSource("I1", "0", "n0", 0.0, ac=1.0))
    for netlist, node, source, storage in ((one_rc(ac=1.0), "out", "V1", 1e-9), (tank, "n0", "I1", capacitance)):
        total = run(netlist, Noise(node, source, 1e1, 1e10)).total ** 2
        assert total == pytest.approx(KT / storage, rel=5e-3)
        assert noise_covariance(netlist, [node], (1e1, 1e10))[0, 0] == pytest.approx(total, rel=5e-3)
        assert total != pytest.approx(KT / storage / 2, rel=5e-3)


# --- the band: laws for the whole of it, closed forms for parts


def test_whole_band_of_rc_networks_is_kt_over_c():
    for seed, spread in ((1, 0.5), (2, 4.0)):
        rc = random_rc(6, seed, spread=spread)
        found = noise_covariance(rc.netlist, rc.nodes, EVERYTHING)
        assert deviation(found, KT * np.diag(1 / rc.C)) < 1e-4
        assert deviation(noise_covariance(rc.netlist, rc.nodes), KT * np.diag(1 / rc.C)) < 1e-9
        assert deviation(found, KT / rc.C.mean() * np.eye(6)) > 1e-2


@pytest.mark.parametrize("quality", [2.0, 10.0])
def test_whole_band_of_a_mesh_is_equipartition_for_flux_and_voltage(quality):
    netlist, gamma, capacitance, legs = mesh(quality)
    for band in (None, EVERYTHING):
        flux = noise_covariance(netlist, [f"x{i}" for i in range(4)], band) * np.outer(legs, legs)
        assert deviation(flux, KT * np.linalg.inv(gamma)) < 1e-4
        assert deviation(flux, KT * np.diag(1 / np.diag(gamma))) > 0.1
        volts = noise_covariance(netlist, [f"n{i}" for i in range(4)], band)
        assert deviation(volts, KT * np.diag(1 / capacitance)) < 1e-4
        cross = noise_covariance(netlist, ["n0", "x0"], band)
        assert abs(cross[0, 1]) < 1e-4 * np.sqrt(cross[0, 0] * cross[1, 1])  # the flux and its rate


def test_whole_band_of_the_eight_cells_is_their_inverse_capacitance_times_the_injected_density():
    program = compile_matrix(comparison_matrix(passive(8, 0.4, 2)), "spu")
    silent = silenced(program.netlist())
    S, R = 3e-22, program.technology.resistors.unit
    inverse = np.linalg.inv(sparse.csr_array(program.parts.matrix()).toarray())
    nodes = [plus for plus, _ in program.readouts]
    injected = dict.fromkeys(nodes, S)
    for band in (None, EVERYTHING):
        assert deviation(noise_covariance(silent, nodes, band, injected), S * R / 2 * inverse) < 1e-4
        assert deviation(noise_covariance(program.netlist(), nodes, band, injected), (S * R / 2 + KT) * inverse) < 1e-4
        assert deviation(noise_covariance(silent, nodes, band, injected), S * R * inverse) > 0.4  # one-sided S


def test_whole_band_of_a_differential_crossbar_is_its_lyapunov_law():
    """(C/w) v'' + [C (1 + 1/A0) + L/w] v' + (K + L/A0) v = I, two-sided density of I: 2 rails x 2 k T L (PHYSICS, section 3)."""
    n, gain, gbw = 4, 1e5, 1e6
    technology = preset("ideal").replace(opamp__gain=gain, opamp__gbw=gbw)
    program = compile_matrix(spd(n, 10.0, 1), "crossbar", technology)
    law, w, tau = program.behaviour, 2 * np.pi * gbw, 1e-6
    K, L, C = law.conductance + np.diag(law.load) / gain, np.diag(law.load), np.diag(law.capacitance)
    # In units of tau, so that v and v' count alike: the solver's error goes with the largest entry.
    inverse = w * tau**2 * np.linalg.inv(C)
    first, kick = np.zeros((2 * n, 2 * n)), np.zeros((2 * n, 2 * n))
    first[:n, n:] = np.eye(n)
    first[n:, :n], first[n:, n:] = -inverse @ K, -inverse @ (C * (1 + 1 / gain) + L / w) / tau
    kick[n:, n:] = inverse @ (4 * KT * L / tau) @ inverse
    exact = solve_continuous_lyapunov(first, -kick)[:n, :n]
    found = noise_covariance(program.netlist(), program.readouts, EVERYTHING)
    assert deviation(found, exact) < 1e-4
    A = np.linalg.solve(C, K)  # with infinite bandwidth: A S + S A^T = 4 k T C^-1 L C^-1
    assert deviation(found, solve_continuous_lyapunov(A, 4 * KT * np.linalg.solve(C, L) @ np.linalg.inv(C))) > 1e-3


def test_part_of_a_band_has_its_closed_form():
    """One pole: (2/pi) atan(2 pi f R C) of kT/C lies below f; and parts add up."""
    corner = 1 / (2 * np.pi * 1e-6)
    for ratio in (1e-3, 1.0, 30.0):
        below = noise_covariance(one_rc(), ["out"], (0.0, ratio * corner))[0, 0]
        above = noise_covariance(one_rc(), ["out"], (ratio * corner, np.inf))[0, 0]
        assert below == pytest.approx(KT / 1e-9 * 2 / np.pi * np.arctan(ratio), rel=1e-6)
        assert below + above == pytest.approx(KT / 1e-9, rel=1e-6)


@pytest.mark.parametrize("quality", [3.0, 1e3, 1e7])
def test_narrow_resonance_is_not_missed(quality):
    """Between its half-power points lies exactly half: x = Q (f/f0 - f0/f) takes S df to dx / (1 + x^2)."""
    netlist = Netlist("tank")
    netlist.add(
        Inductor("L1", "a", "0", 1e-3), Capacitor("C1", "a", "0", 1e-9), Resistor("R1", "a", "0", quality * 1e3)
    )
    netlist.add(Capacitor("C2", "b", "0", 1e-12), Resistor("R2", "b", "0", 1e4))  # something wide beside it
    f0, half = 1 / (2 * np.pi * 1e-6), 0.5 / quality
    band = tuple(f0 * (np.sqrt(1 + half**2) + sign * half) for sign in (-1, 1))
    assert noise_covariance(netlist, ["a", "b"], EVERYTHING)[0, 0] == pytest.approx(KT / 1e-9, rel=1e-5)
    assert noise_covariance(netlist, ["a"], band)[0, 0] == pytest.approx(KT / 2e-9, rel=1e-5)
    # Control: a grid that does not know where the resonance is
    f = np.geomspace(1e2, 1e8, 600)
    grid = np.trapezoid(noise_spectrum(netlist, ["a"], f).density[:, 0, 0].real, f)
    assert (abs(grid * 1e-9 / KT - 1) < 0.02) == (quality < 10)


def test_injected_currents_of_any_form():
    """Mapping, pair and matrix; a common current is correlated, and two independent ones are not the same."""
    rc = random_rc(3, 5)
    silent = silenced(rc.netlist)
    S, order = 2e-22, [silent.nodes.index(node) for node in rc.nodes]

    def law(density):
        """C v' = -G v + w."""
        return solve_continuous_lyapunov(rc.G / rc.C[:, None], density / np.outer(rc.C, rc.C))

    def placed(density):
        matrix = np.zeros((3, 3))
        matrix[np.ix_(order, order)] = density
        return matrix

    pair, common = np.array([1.0, -1.0, 0.0]), np.ones(3)
    cases = [
        ({"n00": S, "n02": 2 * S}, np.diag([S, 0.0, 2 * S])),
        ({("n00", "n01"): S}, S * np.outer(pair, pair)),
        (placed(S * np.outer(common, common)), S * np.outer(common, common)),
    ]
    for injected, density in cases:
        for band in (None, EVERYTHING):
            assert deviation(noise_covariance(silent, rc.nodes, band, injected), law(density)) < 1e-6
        assert deviation(noise_covariance(silent, rc.nodes, None, injected), law(S * np.eye(3))) > 0.1
    first = next(e for e in rc.netlist if isinstance(e, Resistor))
    noisy = Netlist("one noisy resistor")
    noisy.add(*(first if e.name == first.name else e for e in silent))
    found = noise_covariance(silent, rc.nodes, None, {(first.a, first.b): 2 * KT / first.resistance})
    assert deviation(found, noise_covariance(noisy, rc.nodes)) < 1e-9
    assert not noise_spectrum(silent, rc.nodes, [1e5]).density.any()
    assert not noise_covariance(silent, rc.nodes).any()
    assert not noise_covariance(silent, rc.nodes, EVERYTHING).any()


# --- the transient


def test_relative_error_of_a_variance_is_sqrt_2_tau_over_t():
    """4000 runs of one RC node by the exact recursion x' = e^(-h/tau) x + noise; sqrt(tau/T) is rejected by the same test.

    The spread of 4000 values is known to 1 / sqrt(8000) = 1.1 % (1.2 % with the skewness of a chi-square of T / tau = 200
    degrees of freedom); the step h = tau / 10 adds 0.2 % and the finite length takes 0.1 %.
    """
    runs, ratio, h = 4000, 200, 0.1
    space = state_space(one_rc(), {"out": ("out", "0")})
    tau, variance = -1 / space.F[0, 0], space.covariance()[0, 0]
    assert tau == pytest.approx(1e-6)
    keep = np.exp(-h)
    draws = np.random.default_rng(8).standard_normal((runs, ratio * round(1 / h)))
    draws[:, 0] /= np.sqrt(1 - keep**2)  # starts in the stationary law
    paths = np.sqrt(variance * (1 - keep**2)) * lfilter([1.0], [1.0, -keep], draws, axis=1)
    estimates = (paths**2).mean(axis=1) / variance

    def agrees(law):
        return abs(estimates.std() / law - 1) < 3 * 0.012 + 0.003

    assert abs(estimates.mean() - 1) < 4 * np.sqrt(2 / ratio / runs)
    assert agrees(np.sqrt(2 / ratio))
    assert not agrees(np.sqrt(1 / ratio))


def transients_agree(ratio, error=0.0):
    """Within 3 %, and `error` more."""
    return abs(ratio - 1) < 0.03 + 3 * error


def totals_agree(ratio):
    return abs(ratio - 1) < 5e-3


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "circuit"), list(enumerate(CIRCUITS)), ids=[circuit.name for circuit in CIRCUITS])
def test_three_routes_agree_on_ten_circuits(seed, circuit):
    """Transient and `.noise` over the Lyapunov variance within 3 % (more than three standard errors) and 0.5 %."""
    found = ROUTES.measure(circuit, seed)
    assert 3 * found.error < 0.03
    assert transients_agree(found.transient)
    assert totals_agree(found.noise)
    law = noise_covariance(circuit.netlist, circuit.outputs)
    assert deviation(noise_covariance(circuit.netlist, circuit.outputs, EVERYTHING), law) < 1e-6


@pytest.mark.parametrize("number", [1, 2, 3, 9], ids=[CIRCUITS[i].name for i in (1, 2, 3, 9)])
def test_independent_currents_fail_the_same_comparison(number):
    """Each node its right variance, but independently."""
    circuit = CIRCUITS[number]
    space = state_space(circuit.netlist, {str(i): pair for i, pair in enumerate(circuit.outputs)})
    right = johnson_currents(circuit.netlist, circuit.step / np.abs(space.eigenvalues).max())
    wrong = NoiseCurrents(right.nodes, np.diag(np.linalg.norm(right.factor, axis=1)), right.step)
    squares = ROUTES.transient_squares(circuit, space, wrong, 200, 20_000, seed=number)
    error = np.sqrt(ROUTES.variance_of_mean(space, right) / 20_000)
    assert not transients_agree((squares / np.diag(space.covariance())).mean(), error)


@pytest.mark.parametrize("number", [1, 5], ids=[CIRCUITS[i].name for i in (1, 5)])
def test_three_kelvin_more_fail_the_comparison_of_totals(number):
    circuit = CIRCUITS[number]
    hotter = Netlist("hotter", circuit.netlist.temperature * 1.01)
    hotter.add(*circuit.netlist)
    space = state_space(circuit.netlist, {str(i): pair for i, pair in enumerate(circuit.outputs)})
    law = np.diag(space.covariance())
    assert all(map(totals_agree, ROUTES.total_by_noise(circuit, space) / law))
    hot = ROUTES.total_by_noise(replace(circuit, netlist=hotter), space) / law
    assert not any(map(totals_agree, hot))


# --- what is rejected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nodes": ["nope"]}, "no node 'nope'; use one of in, out"),
        ({"nodes": "out"}, "a sequence of node names"),
        ({"nodes": [("out", "in", "0")]}, "neither a node name nor a pair"),
        ({"nodes": [("out", "out")]}, "no voltage"),
        ({"band": (1e3, 1e3)}, r"band = \(1000.0, 1000.0\)"),
        ({"band": (-1.0, 1e3)}, "0 <= f_lo < f_hi"),
        ({"band": 1e3}, "0 <= f_lo < f_hi"),
        ({"injected": {"out": -1.0}}, r"injected\['out'\] = -1.0 A\^2/Hz"),
        ({"injected": {"out": "much"}}, "finite two-sided density"),
        ({"injected": {"nope": 1e-22}}, "injected: the netlist has no node 'nope'"),
        ({"injected": np.eye(3)}, r"shape \(2, 2\)"),
        ({"injected": [[1.0, 2.0], [2.0, 1.0]]}, "symmetric positive semidefinite"),
        ({"injected": [[1.0, 0.5], [0.0, 1.0]]}, "symmetric positive semidefinite"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        noise_covariance(**({"netlist": one_rc(), "nodes": ["out"]} | arguments))


@pytest.mark.parametrize("frequencies", [1e3, [], [-1.0], [np.inf], [[1.0]], "fast"])
def test_bad_frequencies_are_named(frequencies):
    with pytest.raises(InputError, match="frequencies"):
        noise_spectrum(one_rc(), ["out"], frequencies)


def test_circuits_without_a_stationary_law_are_rejected():
    unstable = integrators(np.array([[-1.0]]), np.array([1.0]), gain=1e5, gbw=1e7)
    for call in (
        lambda: noise_spectrum(unstable, ["x0"], [1e3]),
        lambda: noise_covariance(unstable, ["x0"]),
        lambda: noise_covariance(unstable, ["x0"], (1.0, 1e3)),
    ):
        with pytest.raises(InputError, match="stable circuit"):
            call()
    netlist, *_ = mesh(2.0)
    with pytest.raises(InputError, match=r"frequency = 0 Hz.*loop of inductors"):
        noise_spectrum(netlist, ["n0"], [1e3, 0.0])
    with pytest.raises(InputError, match="injected: the netlist has no node"):
        noise_spectrum(netlist, ["n0"], [1e3], {"nope": 1e-22})


def test_white_noise_needs_a_finite_band():
    """One ohm between a buffer and a node whose capacitor does not go to ground: 4 k T per ohm over the band, at least."""
    netlist = differential_array(2)
    for band in (None, (1e3, np.inf)):
        with pytest.raises(InputError, match=r"'xp0'.*finite f_hi"):
            noise_covariance(netlist, ["q0", "xp0"], band)
    assert deviation(noise_covariance(netlist, ["q0"], EVERYTHING), noise_covariance(netlist, ["q0"])) < 1e-4
    divider = Netlist("divider")
    divider.add(Resistor("R1", "a", "0", 2e3), Resistor("R2", "a", "0", 2e3))
    assert noise_covariance(divider, ["a"], (0.0, 1e4))[0, 0] == pytest.approx(4 * KT * 1e3 * 1e4, rel=1e-9)
    with pytest.raises(InputError, match="infinite variance"):
        noise_covariance(divider, ["a"])
