"""Laws of thermal noise in ngspice's seeded transients, each with its standard error and wrong laws that the same check rejects.

Successive samples are correlated, so an estimate from N of them is as good as one from fewer. For a stationary Gaussian process of zero
mean with covariance R(m) at a lag of m steps, the mean of x_i x_j over N samples has the variance (Isserlis)

    var(S_ij) = (1/N) sum over all lags m of  [R_ii(m) R_jj(m) + R_ij(m) R_ji(m)].

R is that of the recursion that the trapezoidal rule makes of the circuit's state space; the effective number of samples is
2 S_ii^2 / var(S_ii). The laws themselves are written down here from the matrices that the circuits were made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse
from scipy.constants import k
from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov
from scipy.stats import norm

from thermograd.circuits.linear.johnson import NoiseCurrents, johnson_currents
from thermograd.circuits.linear.noise_spectra import noise_spectrum
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.netlist.elements import Capacitor, Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.matrices import comparison_matrix

from ...systems import passive, spd
from ..networks import heated, mesh, random_rc, silenced

KT = k * 300.15
FALSE_ALARM = 1e-3  # of a true law, in all entries together


def within(found, law, error):
    """Whether no entry is further from the law than its standard error allows where so many are looked at."""
    entries = np.size(found) if np.ndim(found) < 2 else len(found) * (len(found) + 1) / 2  # a matrix here is symmetric
    return bool((np.abs(found - law) <= norm.isf(FALSE_ALARM / 2 / entries) * error).all())


@dataclass
class Covariance:
    """Measured covariance (p, p) in V^2, the standard error of each entry, and what infinitely many steps of this length would give."""

    value: np.ndarray
    error: np.ndarray
    limit: np.ndarray

    def agrees(self, law):
        return within(self.value, law, self.error)

    def resolves(self, law, share):
        """Whether the run is so long that it determines the variances within `share`, and its steps so short that they do not matter."""
        short = (np.abs(self.limit - law) < 0.5 * self.error).all()
        return bool(short and (4 * np.diag(self.error) < share * np.diag(law)).all())

    def part(self, places):
        """The same of some outputs only."""
        at = np.ix_(places, places)
        return Covariance(self.value[at], self.error[at], self.limit[at])


def correlations(space, currents):
    """R(0), R(1), R(2), ... of the outputs, each (p, p), until they are a ten thousandth of R(0).

    (1 - hF/2) x' = (1 + hF/2) x + (h/2) B (w + w') is x' = P x + k (w + w') with k = (h/2) (1 - hF/2)^-1 B. Of the state's covariance S,
    lag one is P S + k Q k^T, and each more is a P; S itself follows from x' being distributed as x is.
    """
    h, Q = currents.step, currents.factor @ currents.factor.T
    inverse = np.linalg.inv(np.eye(space.size) - h / 2 * space.F)
    P, kick = 2 * inverse - np.eye(space.size), h / 2 * inverse @ space.Bn
    K = kick @ Q @ kick.T
    S = solve_discrete_lyapunov(P, P @ K + K @ P.T + 2 * K)
    lag = (P @ S + K) @ space.H.T
    rows = [space.H @ S @ space.H.T, space.H @ lag]
    spread = np.sqrt(np.outer(np.diag(rows[0]), np.diag(rows[0])))
    recent = np.inf
    while recent > 1e-4:  # an oscillator's correlations pass through zero, so a stretch of them is looked at
        for _ in range(100):
            lag = P @ lag
            rows.append(space.H @ lag)
        recent = np.abs(np.array(rows[-100:]) / spread).max()
    return np.array(rows)


def standard_error(R, count):
    """(p, p): of each entry of the covariance that `count` successive samples of correlations R give.

    Not for the product of a voltage and the flux that is its integral: that one's terms cancel, and it is found far better.
    """
    own = np.einsum("mii->mi", R)
    products = own[:, :, None] * own[:, None, :] + R * R.transpose(0, 2, 1)
    return np.sqrt(np.maximum(2 * products.sum(axis=0) - products[0], 0.0) / count)  # lags of either sign


def samples(netlist, outputs, currents, count, seed):
    """(count, outputs) voltages after 15 of the slowest time constants; the circuits here have no sources, so their mean is zero."""
    burn_in = int(np.ceil(15 / -state_space(netlist, {}).eigenvalues[0].real / currents.step))
    nodes = tuple(dict.fromkeys(node for pair in outputs for node in pair if node != "0"))
    analysis = Transient((burn_in + count) * currents.step, step=currents.step, noise=True, nodes=nodes)
    volts = run(netlist, analysis, seed=seed, currents=currents, timeout=300).voltages | {
        "0": np.zeros(burn_in + count)
    }
    return np.column_stack([volts[a] - volts[b] for a, b in outputs])[burn_in:]


def measured(netlist, outputs, currents, count, seed, silent=None):
    """The covariance over one transient; its error is that of the circuit with these currents.

    `silent`: the circuit that is simulated, if not the one whose resistors make the noise.
    """
    x = samples(silent or netlist, outputs, currents, count, seed)
    R = correlations(state_space(netlist, {str(i): pair for i, pair in enumerate(outputs)}), currents)
    return Covariance(x.T @ x / count, standard_error(R, count), R[0])


def independent(currents):
    """Each node its right variance, but independently."""
    return NoiseCurrents(currents.nodes, np.diag(np.linalg.norm(currents.factor, axis=1)), currents.step)


def to_ground(nodes):
    return [(node, "0") for node in nodes]


# --- covariances


@pytest.mark.slow
def test_rc_network_has_kt_over_c_whatever_its_conductances_are():
    rc = random_rc(6, 6, volts=0.0, spread=0.3, coupled=2.0)
    currents = johnson_currents(rc.netlist, 2 / rc.rates[-1])
    found = measured(rc.netlist, to_ground(rc.nodes), currents, 100_000, seed=21)
    law = KT * np.diag(1 / rc.C)
    assert found.resolves(law, 0.03)
    assert found.agrees(law)
    assert not found.agrees(1.06 * law)
    assert not found.agrees(KT / rc.C.mean() * np.eye(6))
    assert not found.agrees(np.linalg.inv(rc.G) * (KT * np.trace(rc.G) / rc.C.sum()))
    assert not measured(rc.netlist, to_ground(rc.nodes), independent(currents), 100_000, seed=21).agrees(law)


@pytest.mark.slow
def test_coupled_oscillators_have_kt_over_gamma_and_kt_over_c():
    """Fluxes kT Gamma^-1 and voltages kT C^-1; not if one cell's resistor is hotter than the others."""
    netlist, gamma, capacitance, legs = mesh(2.0, n=3)
    step = 0.03 / np.abs(state_space(netlist, {}).eigenvalues).max()
    outputs = to_ground([f"x{i}" for i in range(3)] + [f"n{i}" for i in range(3)])
    found = measured(netlist, outputs, johnson_currents(netlist, step), 500_000, seed=22)
    uneven = heated(netlist, {"R0": 1200.0})
    wrong = measured(uneven, outputs, johnson_currents(uneven, step), 200_000, seed=22)
    flux = KT * np.linalg.inv(gamma) / np.outer(legs, legs)
    diagonal = KT * np.diag(1 / np.diag(gamma)) / np.outer(legs, legs)
    volts = KT * np.diag(1 / capacitance)
    for places, law, other in (((0, 1, 2), flux, diagonal), ((3, 4, 5), volts, KT / capacitance.mean() * np.eye(3))):
        assert found.part(places).resolves(law, 0.2)
        assert found.part(places).agrees(law)
        assert not found.part(places).agrees(1.3 * law)
        assert not found.part(places).agrees(other)
        assert not wrong.part(places).agrees(law)


@pytest.mark.long
def test_eight_capacitively_coupled_cells_have_half_s_r_over_c():
    """White currents of two-sided density S into cells of resistance R, themselves silent: (S R / 2) C^-1."""
    technology = preset("ideal").replace(resistors__unit=1e3, capacitors__unit=1e-9, inductors__unit=1e-3)
    program = compile_matrix(comparison_matrix(passive(8, 0.4, 2)), "spu", technology)
    S, R = 1e-13, technology.resistors.unit
    inverse = np.linalg.inv(sparse.csr_array(program.parts.matrix()).toarray())
    outputs = to_ground([plus for plus, _ in program.readouts])
    hot = Netlist("hot", temperature=S * R / (2 * k))  # whose Johnson noise in each cell has the density S
    hot.add(*program.netlist())
    silent = silenced(program.netlist())
    currents = johnson_currents(hot, 0.03 / np.abs(state_space(hot, {}).eigenvalues).max())
    found = measured(hot, outputs, currents, 200_000, seed=23, silent=silent)
    law = S * R / 2 * inverse
    assert found.resolves(law, 0.1)
    assert found.agrees(law)
    assert not found.agrees(1.15 * law)
    assert not found.agrees(2 * law)  # S taken for one-sided
    assert not found.agrees(S * R / 2 * np.diag(np.diag(inverse)))
    assert not found.agrees(S * R / 2 * np.diag(1 / np.diag(np.linalg.inv(inverse))))
    louder = NoiseCurrents(
        currents.nodes, currents.factor * np.where(np.arange(8) == 0, 2.0, 1.0)[:, None], currents.step
    )
    assert not measured(hot, outputs, louder, 100_000, seed=23, silent=silent).agrees(law)


@pytest.mark.slow
def test_crossbar_solves_its_lyapunov_equation():
    """A S + S A^T = 4 (kT/C) D with D the sum of each row's conductances, in units of 1 / R: neither kT/C nor a function of A alone."""
    a = spd(3, 10.0, 1)
    technology = preset("ideal").replace(opamp__gain=1e6, opamp__gbw=1e9)
    program = compile_matrix(a, "crossbar", technology)
    netlist, R, C = program.netlist(), technology.resistors.unit, technology.capacitors.unit
    scaled = a / np.abs(a).max()
    D = np.diag(np.abs(scaled).sum(axis=1) + 1.0)  # the drive's resistor is one R
    law = solve_continuous_lyapunov(scaled, 4 * KT / C * D)
    rates = np.linalg.eigvalsh(scaled) / (R * C)
    currents = johnson_currents(netlist, 1 / rates[-1])
    found = measured(netlist, program.readouts, currents, 150_000, seed=24)
    assert found.resolves(law, 0.1)
    assert found.agrees(law)
    assert not found.agrees(1.15 * law)
    assert not found.agrees(2 * KT / C * np.eye(3))  # as a passive pair of rails has it
    assert not found.agrees(solve_continuous_lyapunov(scaled, 4 * KT / C * np.eye(3) * np.trace(D) / 3))
    wrong = measured(netlist, program.readouts, independent(currents), 50_000, seed=24)
    assert not wrong.agrees(law)


# --- time: averages, effective samples, the direction of time


def test_standard_errors_count_correlated_samples():
    """400 stretches of one run: their covariances scatter as `standard_error` says, and not as so many independent samples would."""
    rc = random_rc(3, 6, volts=0.0, spread=0.5, coupled=2.0)
    currents = johnson_currents(rc.netlist, 0.5 / rc.rates[-1])
    stretches, count = 400, 400
    x = samples(rc.netlist, to_ground(rc.nodes), currents, stretches * count, seed=25)
    found = np.einsum("sti,stj->sij", *[x.reshape(stretches, count, 3)] * 2) / count
    R = correlations(state_space(rc.netlist, {node: (node, "0") for node in rc.nodes}), currents)
    law = KT * np.diag(1 / rc.C)

    def agrees(error):
        squares = ((found - law) / error) ** 2
        spread = squares[:, *np.triu_indices(3)].mean(axis=0)
        return within(spread, 1.0, squares.std(axis=0)[np.triu_indices(3)] / np.sqrt(stretches))

    assert agrees(standard_error(R, count))
    assert not agrees(standard_error(R[:1], count))  # independent samples
    assert not agrees(standard_error(R, count) / np.sqrt(2))


def stretched(volts, length):
    """(stretches, length) of one long run."""
    return volts[: len(volts) // length * length].reshape(-1, length)


@pytest.mark.slow
def test_averaging_for_a_time_t_leaves_sqrt_2_tau_over_t():
    """Of one RC node: the mean over T = 40 tau, in units of the rms voltage, and the variance over T, in units of itself.

    The mean's exact law for an exponential correlation is 2 tau/T - 2 (tau/T)^2 (1 - exp(-T/tau)), here 2.5 % lower. The noise of
    a step h has the stationary covariance at any h, and by this a density at low frequency that is 1 + h / (2 tau) too large.
    """
    tau, h, T = 1e-6, 0.05, 40.0  # h and T in units of tau
    node = Netlist("node")
    node.add(Resistor("R1", "a", "0", 1e3), Capacitor("C1", "a", "0", 1e-9))
    x = samples(node, [("a", "0")], johnson_currents(node, h * tau), 400_000, seed=26)[:, 0] / np.sqrt(KT / 1e-9)
    runs = stretched(x, round(T / h))
    means, variances = runs.mean(axis=1), (runs**2).mean(axis=1)
    scatter = np.sqrt(1 / (2 * len(runs)))  # relative, of a standard deviation

    def agree(law):
        """A variance over 40 tau is a chi-square of about 40 degrees of freedom, so its scatter is known a little less well."""
        exact = law * np.sqrt((1 - (1 - np.exp(-T)) / T) * (1 + h / 2))
        return (
            within(np.sqrt((means**2).mean()), exact, exact * scatter),
            within(variances.std(), law, law * scatter * np.sqrt(1 + 6 / T)),
        )

    assert len(runs) == 500
    assert agree(np.sqrt(2 / T)) == (True, True)
    assert agree(np.sqrt(1 / T)) == (False, False)
    assert agree(np.sqrt(2 * h / 2 / T)) == (False, False)  # independent samples


@pytest.mark.long
def test_time_averages_of_a_network_have_2_kt_over_g_t():
    """Averages over a time T long against every time constant have 2 kT G^-1 / T, which identifies G; no covariance of voltages does."""
    rc = random_rc(3, 9, volts=0.0, spread=0.4, coupled=3.0)
    h, slow = 0.05 / rc.rates[-1], 1 / rc.rates[0]
    length = round(40 * slow / h)
    x = samples(rc.netlist, to_ground(rc.nodes), johnson_currents(rc.netlist, h), 250 * length, seed=27)
    means = np.stack([stretched(column, length).mean(axis=1) for column in x.T])
    value, T = means @ means.T / means.shape[1], length * h
    law = 2 * KT * np.linalg.inv(rc.G) / T
    error = np.sqrt((np.outer(np.diag(law), np.diag(law)) + law**2) / means.shape[1])  # independent stretches
    assert within(value, law, error)
    assert not within(value, 2 * KT * np.diag(1 / np.diag(rc.G)) / T, error)
    assert not within(value, law / 2, error)
    assert not within(value, KT * np.diag(1 / rc.C) / length, error)  # independent samples


def pair(cold, hot):
    """Two coupled RC nodes whose resistors to ground are at these temperatures (K)."""
    netlist = Netlist("pair")
    netlist.add(Resistor("R1", "a", "0", 1e3, temperature=cold), Capacitor("C1", "a", "0", 1e-9))
    netlist.add(Resistor("R2", "b", "0", 1e3, temperature=hot), Capacitor("C2", "b", "0", 1e-9))
    netlist.add(Resistor("R3", "a", "b", 5e2, temperature=(cold + hot) / 2))
    return netlist


@pytest.mark.long
def test_cross_spectra_are_real_at_one_temperature_and_not_under_a_gradient():
    """Detailed balance. The imaginary part of the cross-spectrum of many windows, weighted over frequency as the gradient's law has it.

    Of K independent windows the imaginary part of S_12 has the variance (S_11 S_22 - Re^2 + Im^2) / 2K.
    """
    h, length, count = 2e-8, 2048, 200_000
    outputs, gradient = to_ground("ab"), pair(100.0, 1100.0)

    def imaginary(netlist, seed):
        """Amplitude of the gradient's imaginary part in one transient of `netlist`, and its standard error."""
        x = samples(netlist, outputs, johnson_currents(netlist, h), count, seed)
        a, b = (stretched(column, length) for column in x.T)
        window = np.hanning(length) / np.sqrt((np.hanning(length) ** 2).sum() / (2 * h))
        f = np.fft.rfftfreq(length, h)
        used = slice(3, np.searchsorted(f, 0.1 / h))  # far from zero and from the end of what steps of h can show
        cross = ((np.fft.rfft(window * a) * np.fft.rfft(window * b).conj()).mean(axis=0))[used]
        law = noise_spectrum(gradient, outputs, f[used]).density[:, 0, 1].imag
        own = noise_spectrum(netlist, outputs, f[used]).density
        power = (own[:, 0, 0] * own[:, 1, 1]).real - own[:, 0, 1].real ** 2 + own[:, 0, 1].imag ** 2
        # A Hann window makes neighbouring frequencies depend on each other: 1.94 of them count as one.
        variance = power / (2 * len(a)) * 1.94
        weight = law / variance
        return (weight @ cross.imag) / (weight @ law), 1 / np.sqrt(weight @ law)

    for netlist, law, wrong in ((pair(600.0, 600.0), 0.0, 1.0), (gradient, 1.0, 0.0), (pair(1100.0, 100.0), -1.0, 1.0)):
        value, error = imaginary(netlist, seed=28)
        assert error < 0.07
        assert within(value, law, error)
        assert not within(value, wrong, error)
