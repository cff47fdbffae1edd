"""Voltage noise by three routes: ngspice's seeded transient, ngspice's `.noise`, and state space; of ten circuits, and of arrays whose
amplifiers are noisy, there with the surrogate.

    python benchmarks/circuits/noise_routes.py                 both tables, about two minutes
    python benchmarks/circuits/noise_routes.py --amplifiers    the second one

Each figure is the mean over a circuit's outputs of (variance found) / (variance of the state-space law), so 1 is agreement. The transient's
standard error in the first table is computed from the autocorrelation of the simulated process, not from the samples; in the second one
it is that of the mean of independent devices. `fine` injects currents without memory into the netlist with its noise sources, at 3000 and
more steps a tau, which resolve the amplifiers' bandwidth: it shares no law with the rest.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.constants import k as BOLTZMANN

from thermograd.circuits.amplifiers.models import OnePole
from thermograd.circuits.linear.johnson import NoiseCurrents, johnson_currents
from thermograd.circuits.linear.noise_spectra import noise_covariance
from thermograd.circuits.linear.statespace import StateSpace, state_space
from thermograd.circuits.netlist.analyses import Noise, Transient
from thermograd.circuits.netlist.elements import VCCS, VCVS, Capacitor, CurrentSource, Inductor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import compile_matrix, lay_out
from thermograd.compiler.matrices import comparison_matrix
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.circuit import CircuitDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice

STANDARD_ERROR = 0.009
"""Wanted of a transient's mean ratio: three of them are less than 3 %."""
FINE_STEPS = 300_000
TECHNOLOGY = preset("ideal").replace(opamp__gain=1e5, opamp__gbw=1e7)
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Circuit:
    """A netlist, the voltages that are read, and the longest noise step in units of the fastest time constant."""

    name: str
    netlist: Netlist
    outputs: Pairs
    step: float


def rc_node() -> Circuit:
    """1 V through 1 kohm onto 1 nF: kT/C."""
    netlist = Netlist("one RC")
    netlist.add(VoltageSource("V1", "in", "0", 1e-6), Resistor("R1", "in", "a", 1e3), Capacitor("C1", "a", "0", 1e-9))
    return Circuit("RC node", netlist, [("a", "0")], 2.0)


def rc_network() -> Circuit:
    """Four nodes, all coupled, random conductances and capacitors."""
    rng = np.random.default_rng(1)
    netlist = Netlist("random RC")
    for i in range(4):
        netlist.add(Capacitor(f"C{i}", f"n{i}", "0", 1e-9 * rng.uniform(0.7, 1.4)))
        netlist.add(Resistor(f"R{i}", f"n{i}", "0", 1e3 * rng.uniform(0.5, 2.0)))
        for j in range(i):
            netlist.add(Resistor(f"R{i}_{j}", f"n{i}", f"n{j}", 4e3 * rng.uniform(0.5, 2.0)))
    return Circuit("RC network, n = 4", netlist, [(f"n{i}", "0") for i in range(4)], 2.0)


def hot_chain() -> Circuit:
    """A temperature gradient along three nodes: no equilibrium, and no kT/C."""
    netlist = Netlist("hot chain")
    for i, kelvin in enumerate((150.0, 300.0, 600.0)):
        netlist.add(
            Resistor(f"R{i}", f"n{i}", f"n{i - 1}" if i else "0", 1e3, temperature=kelvin),
            Resistor(f"RG{i}", f"n{i}", "0", 2e3, temperature=kelvin),
            Capacitor(f"C{i}", f"n{i}", "0", (i + 1) * 1e-9),
        )
    return Circuit("RC chain, 150 to 600 K", netlist, [(f"n{i}", "0") for i in range(3)], 1.0)


def tank() -> Circuit:
    """Parallel RLC of quality 2."""
    netlist = Netlist("tank")
    netlist.add(
        Inductor("L1", "a", "0", 1e-3),
        Capacitor("C1", "a", "0", 1e-9),
        Resistor("R1", "a", "0", 2e3),
    )
    return Circuit("RLC tank, Q = 2", netlist, [("a", "0")], 0.1)


def integrators() -> Circuit:
    """Two single-ended integrators on one-pole amplifiers, written out by hand."""
    netlist, a = Netlist("integrators"), np.array([[1.0, 0.3], [0.4, 0.8]])
    for i in range(2):
        netlist.add(
            VCCS(f"G{i}", "0", f"q{i}", f"s{i}", "0", -1e-3),
            Resistor(f"RQ{i}", f"q{i}", "0", 1e8, noisy=False),
            Capacitor(f"CQ{i}", f"q{i}", "0", 1e-3 / (2 * math.pi * 1e7)),
            VCVS(f"E{i}", f"x{i}", "0", f"q{i}", "0", 1.0),
            Capacitor(f"C{i}", f"s{i}", f"x{i}", 1e-9),
        )
        for j in range(2):
            netlist.add(Resistor(f"R{i}_{j}", f"s{i}", f"x{j}", 1e3 / float(a[i, j])))
    return Circuit("op-amp integrators, n = 2", netlist, [("x0", "0"), ("x1", "0")], 20.0)


def fabric(name: str, n: int, step: float, change: Callable[[Netlist], Netlist] = lambda netlist: netlist) -> Circuit:
    """A compiled matrix of mixed signs where the fabric takes them, else its comparison matrix."""
    a = np.random.default_rng([7, n]).standard_normal((n, n))
    a = (a + a.T) / 2
    np.fill_diagonal(a, 1.0)
    a += (0.5 - np.linalg.eigvalsh(comparison_matrix(a))[0]) * np.eye(n)
    if name in ("rc", "lc", "spu"):
        a = np.asarray(comparison_matrix(a))
    program = compile_matrix(a, name, TECHNOLOGY)
    outputs = [(f"p{i + 1}", "0") for i in range(n)] if name == "lc" else list(program.readouts)
    return Circuit(f"{name}, n = {n}", change(program.netlist()), outputs, step)


def wound(netlist: Netlist) -> Netlist:
    """Each coil with a winding resistance of a tenth of its unit reactance: `.noise` starts with an operating point,
    which a mesh of ideal inductors has not."""
    ohm = 0.1 * math.sqrt(TECHNOLOGY.inductors.unit / TECHNOLOGY.capacitors.unit)
    changed = Netlist(netlist.title, netlist.temperature)
    for element in netlist:
        if isinstance(element, Inductor):
            middle = f"w{element.name}"
            changed.add(Inductor(element.name, element.a, middle, element.inductance))
            changed.add(Resistor(f"RW{element.name}", middle, element.b, ohm))
        else:
            changed.add(element)
    return changed


def circuits() -> list[Circuit]:
    """The ten circuits of the table."""
    return [
        rc_node(),
        rc_network(),
        hot_chain(),
        fabric("rc", 3, 2.0),
        fabric("dual_rail", 2, 2.0),
        tank(),
        fabric("lc", 2, 0.2, wound),
        fabric("spu", 3, 0.09),
        integrators(),
        fabric("crossbar", 2, 20.0),
    ]


@dataclass(frozen=True)
class Agreement:
    """Ratios to the state-space law: of the transient, its standard error, and of `.noise` (the worst output); `steps` simulated."""

    transient: float
    error: float
    noise: float
    steps: int


def measure(circuit: Circuit, seed: int) -> Agreement:
    """Compare the routes on one circuit."""
    law = np.diag(noise_covariance(circuit.netlist, circuit.outputs))
    space = state_space(circuit.netlist, {str(i): pair for i, pair in enumerate(circuit.outputs)})
    step = circuit.step / float(np.abs(space.eigenvalues).max())
    currents = johnson_currents(circuit.netlist, step)
    one = variance_of_mean(space, currents)
    burn_in = math.ceil(25 / float(-space.eigenvalues[0].real) / step)
    count = math.ceil(one / STANDARD_ERROR**2)
    squares = transient_squares(circuit, space, currents, burn_in, count, seed)
    ratios = total_by_noise(circuit, space) / law
    worst = ratios[np.argmax(np.abs(ratios - 1))]
    return Agreement(float((squares / law).mean()), math.sqrt(one / count), float(worst), burn_in + count)


def transient_squares(
    circuit: Circuit, space: StateSpace, currents: NoiseCurrents, burn_in: int, count: int, seed: int
) -> np.ndarray:
    """Mean square of each output about its direct-current value, V^2."""
    analysis = Transient((burn_in + count) * currents.step, step=currents.step, noise=True)
    volts = run(circuit.netlist, analysis, seed=seed, currents=currents).voltages
    zero = np.zeros(burn_in + count)
    rows = np.stack([volts[plus] - (zero if minus == "0" else volts[minus]) for plus, minus in circuit.outputs])
    return np.asarray(((rows[:, burn_in:] - space.equilibrium()[:, None]) ** 2).mean(axis=1))


def total_by_noise(circuit: Circuit, space: StateSpace, points: int = 100) -> np.ndarray:
    """Variance of each output by `.noise` over four decades more than the natural frequencies, points a decade, V^2."""
    netlist = Netlist(circuit.netlist.title, circuit.netlist.temperature)
    netlist.add(*circuit.netlist, CurrentSource("Iprobe", "0", circuit.outputs[0][0], 0.0, ac=1.0))
    corners = np.abs(space.eigenvalues) / (2 * np.pi)
    low, high = corners.min() * 1e-4, corners.max() * 1e4
    totals = []
    for plus, minus in circuit.outputs:
        output = plus if minus == "0" else (plus, minus)
        totals.append(run(netlist, Noise(output, "Iprobe", low, high, points_per_decade=points)).total ** 2)
    return np.array(totals)


def variance_of_mean(space: StateSpace, currents: NoiseCurrents) -> float:
    """N times the variance of mean_i (1/N) sum_t y_i(t)^2 / var(y_i), for the process that the trapezoidal rule makes.

    For a Gaussian process with correlation rho_ij(m) at lag m it is the sum over all lags of mean_ij 2 rho_ij(m)^2 (Isserlis). The
    recursion (1 - hF/2) x' = (1 + hF/2) x + (h/2) B (w + w') has lag-one covariance P S + (h/2)^2 M^-1 B Q B^T M^-T, and P for each more.
    """
    h, Q = currents.step, currents.factor @ currents.factor.T
    inverse = np.linalg.inv(np.eye(space.size) - h / 2 * space.F)
    P = 2 * inverse - np.eye(space.size)
    S = space.state_covariance()
    fresh = h / 2 * inverse @ space.Bn
    lag = P @ S + fresh @ Q @ fresh.T
    spread = np.sqrt(np.diag(space.H @ S @ space.H.T))
    shape = np.outer(spread, spread)
    total = 2 * ((space.H @ S @ space.H.T / shape) ** 2).mean()
    for _ in range(1_000_000):
        rho = space.H @ lag @ space.H.T / shape
        total += 4 * (rho**2).mean()
        if np.abs(space.H @ lag).max() < 1e-5 * np.abs(space.H @ S).max():
            break
        lag = P @ lag
    return float(total)


@dataclass(frozen=True)
class Array:
    """An array whose amplifiers are noisy.

    Attributes:
        program: without mismatch. technology: of it, without what is not compared (converters).
    """

    name: str
    technology: Technology
    program: AnalogProgram

    @property
    def netlist(self) -> Netlist:
        """With noise sources."""
        zero = np.zeros(self.program.size)
        return self.program.circuit(zero, zero, OnePole(self.technology.opamp, noisy=True))

    @property
    def pairs(self) -> Pairs:
        """What is read."""
        return list(self.program.readouts)

    def spice(self, seed: int) -> CircuitDevice:
        """A device for its technology and fabric."""
        return SpiceDevice(self.technology, None, self.program.fabric_name, seed=seed)

    def surrogate(self, seed: int) -> CircuitDevice:
        """The same."""
        card = DeviceCard.uncalibrated(self.technology, self.program.fabric_name)
        return SurrogateDevice(card, None, seed=seed, extrapolate=True)


def arrays() -> list[Array]:
    """One cell, and arrays of 4 and 8 of condition number 5, of two technologies."""
    found = []
    for name in ("integrated", "breadboard"):
        technology = preset(name)
        for n in (1, 4, 8):
            basis, _ = np.linalg.qr(np.random.default_rng([3, n]).standard_normal((n, n)))
            a = (basis * np.geomspace(0.2, 1.0, n)) @ basis.T if n > 1 else np.eye(1)
            fabric_name = "crossbar" if technology.opamp.outputs == 2 else "crossbar_single"
            found.append(Array(f"{name}, n = {n}", technology, lay_out((a + a.T) / 2, fabric_name, technology)))
    return found


def readings(device: CircuitDevice, array: Array, runs: int, reads: int) -> np.ndarray:
    """Cell voltages (runs * reads, n) without drive, two slow times apart, after 20 of them."""
    slow = array.program.settling_time / array.program.tau
    zero, spans = np.zeros((1, array.program.size)), (20 * slow, *[2 * slow] * (reads - 1))
    rows = [
        device._relax(
            array.program, zero, zero, spans, [np.random.default_rng([device.seed, k])], np.zeros(1, dtype=int)
        )
        for k in range(runs)
    ]
    return np.concatenate([row.cells[0] for row in rows])


def share(
    make: Callable[[int], CircuitDevice], array: Array, law: np.ndarray, devices: int, reads: int
) -> tuple[float, float]:
    """Mean over devices of the variances over the law's, and its standard error."""
    found = [float((readings(make(seed), array, 1, reads) ** 2 / law).mean()) for seed in range(devices)]
    return float(np.mean(found)), float(np.std(found, ddof=1) / math.sqrt(devices))


def fine_share(array: Array, blocks: int = 40) -> tuple[float, float]:
    """One cell by brute force: independent currents of variance S / h into the noisy netlist, and its law, white noise alone."""
    white = dataclasses.replace(
        array, technology=array.technology.replace(opamp__noise_voltage_corner=0.0, opamp__noise_current_corner=0.0)
    )
    netlist = white.netlist
    law = float(noise_covariance(netlist, array.pairs)[0, 0])
    space = state_space(netlist, {"x": array.pairs[0]})
    step = 0.1 / float(np.abs(space.eigenvalues).max())
    values, vectors = np.linalg.eigh(space.noise_density / step)
    currents = NoiseCurrents(space.noise_nodes, vectors * np.sqrt(np.maximum(values, 0.0)), step)
    count = FINE_STEPS
    nodes = tuple(node for node in array.pairs[0] if node != "0")
    result = run(
        netlist, Transient(count * step, step=step, nodes=nodes, noise=True), seed=5, currents=currents, timeout=600
    )
    volts = array.program.cell_volts(result.voltages)[0, count // 10 :]
    # The rule's own share at that step, (1 + a h / 2)^-1 of the fast part, is put back.
    squares = [float(np.mean(block**2)) / law * 1.05 for block in np.array_split(volts, blocks)]
    return float(np.mean(squares)), float(np.std(squares, ddof=1) / math.sqrt(blocks))


def amplifier_table() -> None:
    """The second table."""
    print("\nWith the amplifiers' noise, full band. Without: the law of the resistors alone over that law.\n")
    print(
        f"  {'array':22}{'law, uV rms':>12}{'without, uV':>12}{'without':>9}{'.noise':>9}{'transient':>11}{'+- s.e.':>9}{'surrogate':>11}"
        f"{'+- s.e.':>9}{'without, s.e.':>15}"
    )
    off = []
    for array in arrays():
        law = np.diag(noise_covariance(array.netlist, array.pairs))
        zero = np.zeros(array.program.size)
        quiet = np.diag(noise_covariance(array.program.circuit(zero, zero), array.pairs))
        circuit = Circuit(array.name, array.netlist, array.pairs, 0.0)
        totals = total_by_noise(circuit, state_space(array.netlist, {}), 30) / law
        spice, twin = share(array.spice, array, law, 24, 60), share(array.surrogate, array, law, 100, 30)
        off += [(spice[0] - 1) / spice[1], (twin[0] - 1) / twin[1]]
        print(
            f"  {array.name:22}{1e6 * math.sqrt(law.mean()):>12.2f}{1e6 * math.sqrt(quiet.mean()):>12.2f}{(quiet / law).mean():>9.4f}"
            f"{totals[np.argmax(np.abs(totals - 1))]:>9.4f}{spice[0]:>11.4f}{spice[1]:>9.4f}{twin[0]:>11.4f}{twin[1]:>9.4f}"
            f"{((quiet / law).mean() - spice[0]) / spice[1]:>+15.0f}"
        )
        if array.program.size == 1:
            found, error = fine_share(array)
            print(f"  {'  fine':22}{'':>42}{found:>11.4f}{error:>9.4f}")
    print(
        f"\n  root mean square of the deviations of transients and surrogate, in standard errors: {np.sqrt(np.mean(np.square(off))):.2f}"
    )


def main() -> None:
    began = time.perf_counter()
    if "--amplifiers" not in sys.argv[1:]:
        resistor_table()
    amplifier_table()
    print(f"\n{time.perf_counter() - began:.0f} s")


def resistor_table() -> None:
    """The first table."""
    print(
        "Lyapunov: the first output's noise. The rest are variances over Lyapunov's: the integral of the cross-spectrum over all"
    )
    print(
        "frequencies (largest difference), `.noise` (the worst output), the seeded transient (mean over the outputs)\n"
    )
    print(
        f"  {'circuit':28}{'Lyapunov, uV rms':>18}{'band off by':>13}{'.noise':>9}{'transient':>11}"
        f"{'+- s.e.':>9}{'off, s.e.':>11}{'steps':>9}"
    )
    rows = []
    for seed, circuit in enumerate(circuits()):
        law = noise_covariance(circuit.netlist, circuit.outputs)
        band = noise_covariance(circuit.netlist, circuit.outputs, (0.0, math.inf))
        found = measure(circuit, seed)
        rows.append(found)
        print(
            f"  {circuit.name:28}{1e6 * math.sqrt(law[0, 0]):>18.4f}{np.abs(band - law).max() / law.max():>13.0e}"
            f"{found.noise:>9.4f}{found.transient:>11.4f}{found.error:>9.4f}"
            f"{(found.transient - 1) / found.error:>+11.2f}{found.steps:>9}"
        )
    off = np.array([(row.transient - 1) / row.error for row in rows])
    print(f"\n  transients: root mean square of the deviations in standard errors {np.sqrt((off**2).mean()):.2f}")
    print(f"  kT/C of 1 nF at 300.15 K: {1e6 * math.sqrt(BOLTZMANN * 300.15 / 1e-9):.4f} uV rms")


if __name__ == "__main__":
    main()
