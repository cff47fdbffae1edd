"""The law of a single-ended array, whose inverters are states of their own: against its netlist's exact state space and against ngspice."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.layout.extraction import extract_layout
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.devices.cell_coefficients import extracted, schematic
from thermograd.devicemodel.devices.cell_law import cell_law
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

from ...systems import drawn, spd, true_card

FABRIC = "crossbar_single"
SILENT = {"opamp__noise_voltage": 0.0, "opamp__noise_current": 0.0, "opamp__noise_voltage_corner": 0.0}
LINEAR = {
    "opamp__slew": math.inf,
    "opamp__output_resistance": 0.0,
    "opamp__output_current": math.inf,
    "opamp__bias_current": 0.0,
    **SILENT,
}
BREADBOARD = preset("breadboard").replace(**LINEAR)
INTEGRATED = preset("integrated").replace(**LINEAR)
"""With mismatch, offsets and a second pole: with one rail nothing is left out of the law but what is fast."""
TECHNOLOGIES = {
    "breadboard": BREADBOARD,
    "integrated": INTEGRATED.replace(opamp__second_pole=math.inf),
    "second pole": INTEGRATED,
    "transistors": drawn(INTEGRATED),
}
BARE = {
    **{f"{one}__{name}": value for one in ("adc", "dac") for name, value in
       (("bits", None), ("offset", 0.0), ("gain_error", 0.0))},
    "adc__noise": 0.0,
    "thermal__johnson_noise": False,
}  # fmt: skip
DURATIONS = [0.1, 0.3, 1.0, 5.0, math.inf]


def card_of(technology):
    second = technology.opamp.second_pole
    return true_card(technology, FABRIC, pole=0.0 if math.isinf(second) else 1 / (2 * math.pi * second))


def negative(n, seed):
    """All couplings negative but the diagonal, condition about 20: each column has an inverter, and each cell draws from all others."""
    off = np.random.default_rng([seed, n]).uniform(0.2, 1.0, (n, n))
    off = -(off + off.T) / 2
    np.fill_diagonal(off, 0.0)
    low, high = np.linalg.eigvalsh(off)[[0, -1]]
    return off + np.eye(n) * (high - 20 * low) / 19


def circuit(technology, a, die=3, layout=False):
    """(program on a die, its drive, its start, the state space of its netlist)."""
    n = len(a)
    program = lay_out(a, FABRIC, technology).on(Die(technology, die))
    rng = np.random.default_rng(n)
    currents, start = rng.uniform(-0.3, 0.3, n) * program.parts.drive_nominal, rng.uniform(-0.1, 0.1, n)
    cell = None if math.isinf(technology.opamp.second_pole) else Macromodel(technology.opamp)
    netlist = program.circuit(currents, start, cell)
    netlist = (extract_layout(netlist, program) if layout else netlist).linearised()
    return program, currents, start, state_space(netlist, {f"x{i}": (f"p{i + 1}", "0") for i in range(n)})


def misses(space, program, start, duration, *laws):
    """Distance of each law's end voltages from the circuit's, relative."""
    truth = space.equilibrium() if math.isinf(duration) else space.transition(duration * program.tau)
    found = []
    for one in laws:
        step = one.over(duration, program.tau, noisy=False)
        end = step.propagator.numpy() @ one.slow_start(start) + step.mean.numpy()
        found.append(float(np.linalg.norm(end - truth) / np.linalg.norm(truth)))
    return found


def covariance_misses(space, program, *laws):
    """Largest deviation of x^T found x / x^T truth x from one, over all x, of each law's covariance at rest."""
    root = np.linalg.cholesky(space.covariance())
    found = [one.over(math.inf, program.tau, noisy=True).covariance.numpy() for one in laws]
    white = [np.linalg.solve(root, np.linalg.solve(root, one).T) for one in found]
    return [float(np.abs(np.linalg.eigvalsh(one) - 1).max()) for one in white]


def changed(cells, **changes):
    return dataclasses.replace(cells, inverters=dataclasses.replace(cells.inverters, **changes))


# The exact linear circuit


@pytest.mark.parametrize("technology", TECHNOLOGIES.values(), ids=TECHNOLOGIES)
@pytest.mark.parametrize("a", [spd(2, 20.0, 2), spd(8, 20.0, 2), negative(5, 1)], ids=["2", "8", "negative"])
def test_the_inverters_own_states_are_not_missed(technology, a):
    program, currents, start, space = circuit(technology, a)
    card, cells = card_of(technology), schematic(program)
    other = lay_out(a, FABRIC, technology).on(Die(technology, 4)).behaviour.inverters
    found = cell_law(program, currents, card)
    ideal = cell_law(program, currents, card, dataclasses.replace(cells, inverters=None))
    # The conductance is that with ideal inverters of the die's own ratios.
    k, ratio = cells.inverters.coupling, cells.inverters.ratio
    swapped = dataclasses.replace(
        changed(cells, ratio=other.ratio), conductance=cells.conductance + k * (ratio - other.ratio)
    )
    another = cell_law(program, currents, card, swapped)
    for duration in DURATIONS:
        right, without, wrong = misses(space, program, start, duration, found, ideal, another)
        # The fastest mode of negative couplings is three times as fast, in square.
        assert right < (1e-4 if duration < math.inf else 1e-12)
        # Negative controls: inverters that neither lag, leak nor have offsets, and those of another die.
        assert without > 10 * right
        assert wrong > 10 * right


def test_no_second_order_is_left_out_for_nothing():
    """The lag's square, |K_neg| r (1 + r)^2 / w^2, and where the slow motion sets out from are both seen."""
    program, currents, start, space = circuit(BREADBOARD, negative(5, 1))
    found = cell_law(program, currents, card_of(BREADBOARD))
    lag = card_of(BREADBOARD).lag.value
    inverters = program.behaviour.inverters
    second = inverters.coupling * inverters.ratio * (1 + inverters.ratio) ** 2 * lag**2
    # M dv/dt changes by the second-order term's part of P, times what K / M makes of it.
    mass = np.linalg.inv(found.slow)
    first = np.linalg.inv(mass - second @ -found.drift)
    linear = found._replace(drift=first @ mass @ found.drift, drive=first @ mass @ found.drive, slow=first)
    undelayed = found._replace(delay=0 * found.delay)
    right, without, early = misses(space, program, start, 0.3, found, linear, undelayed)
    assert without > 5 * right
    assert early > 100 * right


@settings(max_examples=40)
@given(n=st.integers(2, 7), seed=st.integers(0, 10**4), speed=st.floats(10.0, 1000.0), gain=st.floats(30.0, 1e5))
def test_what_is_left_out_falls_as_the_square_of_the_amplifiers_speed(n, seed, speed, gain):
    """In units of 1 / (w tau)^2, whatever the parts are; and whether the circuit is stable at all, the law at rest knows."""
    rng = np.random.default_rng([seed, n])
    technology = BREADBOARD.replace(
        opamp__gain=gain,
        opamp__gbw=speed / 1e-5 / (2 * math.pi),
        opamp__offset=rng.uniform(0, 0.02),
        resistors__tolerance=rng.uniform(0, 0.05),
        capacitors__tolerance=rng.uniform(0, 0.1),
    )
    a = negative(n, seed) if rng.uniform() < 0.5 else spd(n, 10 ** rng.uniform(0.1, 2.5), seed)
    program, currents, start, space = circuit(technology, a, die=seed)
    assert program.is_stable() == space.is_stable
    if program.is_stable():
        found = cell_law(program, currents, card_of(technology))
        assert misses(space, program, start, 1.0, found)[0] < 40 / speed**2
        assert misses(space, program, start, math.inf, found)[0] < 1e-9
        assert covariance_misses(space, program, found)[0] < 40 / speed**2


@pytest.mark.parametrize("technology", TECHNOLOGIES.values(), ids=TECHNOLOGIES)
@pytest.mark.parametrize("a", [negative(3, 2), spd(8, 20.0, 2), negative(5, 1)], ids=["3", "8", "5"])
def test_the_covariance_at_rest_is_that_of_the_circuit(technology, a):
    """Exactly computed both times: no statistics."""
    program, currents, _, space = circuit(technology, a)
    card, cells = card_of(technology), schematic(program)
    inverters, n = cells.inverters, len(a)
    independent = np.diag(np.diag(inverters.current_noise(card.leak.value)))
    laws = [
        cell_law(program, currents, card, one)
        for one in (
            cells,
            # Negative controls: no noise of the inverters; the right power, but independent from cell to cell; at another temperature;
            changed(cells, noise=np.zeros(n)),
            dataclasses.replace(changed(cells, noise=np.zeros(n)), current_noise=cells.current_noise + independent),
            changed(cells, noise=1.01 * inverters.noise),
        )
    ]
    right, *wrong = covariance_misses(space, program, *laws)
    assert right < 1e-4
    assert min(wrong[:2]) > 0.01
    assert wrong[2] > 10 * right


def test_inverters_pass_on_only_what_they_can_follow():
    program, currents, _, space = circuit(BREADBOARD, negative(5, 1))
    card = card_of(BREADBOARD)
    found = cell_law(program, currents, card)
    inverters, lag = program.behaviour.inverters, card.lag.value
    missing = inverters.unfollowed_noise(card.leak.value, lag, 0.0)
    held = np.linalg.solve(np.diag(program.behaviour.capacitance), missing) / program.behaviour.capacitance
    white = found._replace(diffusion=found.diffusion - found.drift @ held - held @ found.drift.T)
    right, wrong = covariance_misses(space, program, found, white)
    assert wrong > 20 * right


@pytest.mark.parametrize("n", [3, 8])
def test_the_layouts_law_is_that_of_the_extracted_netlist(n):
    technology = INTEGRATED.replace(
        opamp__second_pole=math.inf,
        resistors__bits=None,
        wires__segment_resistance=20.0,
        wires__segment_capacitance=2e-14,
        wires__crosspoint_capacitance=1e-14,
        switches__on_resistance=200.0,
        switches__leakage=1e-7,
        dac__resistance=500.0,
    )
    program, currents, start, space = circuit(technology, spd(n, 20.0, 2), layout=True)
    card = card_of(technology)
    wired, plain = (cell_law(program, currents, card, one(program)) for one in (extracted, schematic))
    for duration in DURATIONS[1:]:
        with_layout, without = misses(space, program, start, duration, wired, plain)
        assert with_layout < (5e-5 if duration < math.inf else 1e-12)
        assert without > 100 * with_layout
    with_layout, without = covariance_misses(space, program, wired, plain)
    # What the lines' and the inputs' capacitances add to the inverters' lag is left out.
    assert with_layout < 1e-2
    assert without > 5 * with_layout


# ngspice


def solved(device, a, duration, x0=None):
    b = torch.tensor(np.random.default_rng(len(a)).standard_normal(len(a)))
    return device.solve(Dense(torch.tensor(a)), b, duration, x0=x0).x


@pytest.mark.parametrize("name", ["breadboard", "integrated"])
@pytest.mark.parametrize("a", [spd(2, 10.0, 5), spd(6, 15.0, 6), negative(8, 2)], ids=["2", "6", "negative"])
def test_dies_read_the_same_in_ngspice(name, a):
    technology = TECHNOLOGIES[name].replace(**BARE)
    start = 0.1 * torch.arange(len(a), dtype=torch.float64)
    for die, duration in ((3, 0.4), (3, math.inf), (7, 4.0)):
        spice = solved(SpiceDevice(technology, die, FABRIC), a, duration, start)
        twin = solved(SurrogateDevice(card_of(technology), die, extrapolate=True), a, duration, start)
        other = solved(SurrogateDevice(card_of(technology), die + 1, extrapolate=True), a, duration, start)
        # ngspice's own error is 1e-6 of the largest voltage of the run, which is at its start.
        assert float((twin - spice).norm()) < 5e-5 * float(spice.norm())
        assert float((other - spice).norm()) > 100 * float((twin - spice).norm())


@pytest.mark.slow
def test_the_layout_in_ngspice():
    technology = TECHNOLOGIES["integrated"].replace(wires__segment_resistance=20.0, **BARE)
    a = spd(5, 15.0, 11)
    for duration in (2.0, math.inf):
        spice = solved(SpiceDevice(technology, 3, FABRIC, layout=True), a, duration)
        twin, plain = (
            solved(SurrogateDevice(card_of(technology), 3, layout=wired, extrapolate=True), a, duration)
            for wired in (True, False)
        )
        assert float((twin - spice).norm()) < 1e-4 * float(spice.norm())
        assert float((plain - spice).norm()) > 100 * float((twin - spice).norm())


@pytest.mark.slow
def test_noise_in_ngspice_has_the_laws_covariance():
    """Of the ends of short runs, whitened by the law: variances are one, correlations zero within their standard errors."""
    technology, a, runs = BREADBOARD.replace(**BARE | {"thermal__johnson_noise": True}), negative(3, 4), 240
    program = lay_out(a, FABRIC, technology).on(Die(technology, 3))
    found = cell_law(program, np.zeros(3), card_of(technology))
    volts = found.over(1.0, program.tau, noisy=True).covariance.numpy()
    device, ends = SpiceDevice(technology, 3, FABRIC, seed=1), []
    for _ in range(runs + 2):
        solved(device, a, 1.0, torch.zeros(3, dtype=torch.float64))
        ends.append(device.probe.settled)
    # The host finds its level first.
    ends = ends[2:]
    noise = np.array(ends) - np.mean(ends, axis=0)

    def misfit(law):
        """Largest entry of the whitened covariance less 1, and that of the sum of all cells, in standard errors of a variance."""
        white = np.linalg.solve(np.linalg.cholesky(law), noise.T)
        seen = white @ white.T / (runs - 1) - np.eye(3)
        alike = noise.sum(axis=1).var(ddof=1) / law.sum() - 1
        return max(np.abs(seen).max(), abs(alike)) / math.sqrt(2 / runs)

    cells = schematic(program)
    silent = cell_law(program, np.zeros(3), card_of(technology), changed(cells, noise=np.zeros(3)))
    assert misfit(volts) < 3.5
    # Negative controls: silent inverters, and noise of a pair of rails.
    assert misfit(silent.over(1.0, program.tau, noisy=True).covariance.numpy()) > 4
    assert misfit(2 * volts) > 4


# Batches of dies and drive ranges


@pytest.mark.parametrize("duration", [0.3, math.inf])
def test_ranges_of_the_drive_leave_the_inverters_as_they_are(duration):
    technology = BREADBOARD.replace(resistors__drive_ranges=4, **BARE)
    a = negative(4, 3) + 2 * np.eye(4)
    spice = SpiceDevice(technology, 5, FABRIC)
    device = SurrogateDevice(card_of(technology), 5, extrapolate=True)
    wanted, found = solved(spice, 20 * a, duration), solved(device, 20 * a, duration)
    assert spice.probe.drive_range == device.probe.drive_range
    assert float((found - wanted).norm()) < 2e-5 * float(wanted.norm())
    b = np.random.default_rng(4).standard_normal(4)
    batch = DieBatch(card_of(technology), [2, 5], extrapolate=True).solve(20 * a, b, duration)
    torch.testing.assert_close(batch.x[1], found, rtol=1e-10, atol=1e-13)
