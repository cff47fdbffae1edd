"""The surrogate against the circuit's own state space, its ideal limit, and what a seed means."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.fabrics.base import rails
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.cell_law import propagate
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.estimate import Estimate
from thermograd.devicemodel.host.board import Voltages
from thermograd.devicemodel.systems import Dense
from thermograd.devicemodel.validity import Validity

from ...systems import drawn, passive, spd, true_card

FABRICS = ["crossbar", "dual_rail"]
REAL = preset("integrated").replace(adc__noise=0.0, resistors__bits=None)
SPREAD = {
    "resistors__die_to_die": 0.15,
    "resistors__gradient": 0.1,
    "capacitors__die_to_die": 0.1,
    "capacitors__gradient": 0.1,
}
BENT = ("gain_by_threshold", "gain_by_current_factor", "gbw_by_threshold", "gbw_by_current_factor")
QUIET = REAL.replace(thermal__johnson_noise=False)


def system_of(fabric, n=6, seed=2):
    a = passive(n, 0.2, seed) if fabric == "dual_rail" else spd(n, 20.0, seed)
    return Dense(torch.tensor(a)), torch.tensor(np.random.default_rng(seed).standard_normal(n))


def circuit_of(program, currents, start):
    netlist = program.circuit(currents, start)
    return state_space(netlist, {f"x{i}": rails(i) for i in range(program.size)})


def ends(technology, fabric, duration, die=3):
    """(surrogate's, circuit's) mean end voltages of the same die, drive and start."""
    device = SurrogateDevice(true_card(technology, fabric), die)
    system, b = system_of(fabric)
    device.solve(system, b, duration, x0=0.3 * b)
    program = lay_out(system.A.numpy(), fabric, technology).on(Die(technology, die))
    currents = device.probe.driven * (program.parts.drive_nominal or 1 / technology.resistors.unit)
    space = circuit_of(program, currents, device.probe.start)
    circuit = space.equilibrium() if math.isinf(duration) else space.transition(duration * program.tau)
    return device.probe.settled, circuit


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("duration", [0.5, 3.0, 30.0, math.inf])
def test_mean_is_that_of_the_same_dies_netlist(fabric, duration):
    surrogate, circuit = ends(QUIET, fabric, duration)
    nominal, _ = ends(QUIET, fabric, duration, die=None)
    error = np.linalg.norm(surrogate - circuit)
    # What the law leaves out is of second order: far less than what the die's imperfections do.
    assert error < 3e-3 * np.linalg.norm(circuit)
    assert error < 0.1 * np.linalg.norm(circuit - nominal)


@pytest.mark.parametrize("fabric", FABRICS)
def test_what_the_mean_leaves_out_is_of_second_order_in_mismatch(fabric):
    errors = []
    for sigma in (0.04, 0.01):
        # Amplifiers fast enough that their own second-order term stays out of sight.
        technology = QUIET.replace(resistors__tolerance=sigma, capacitors__tolerance=sigma, opamp__gbw=1e15)
        surrogate, circuit = ends(technology, fabric, 2.0)
        errors.append(np.linalg.norm(surrogate - circuit) / np.linalg.norm(circuit))
    assert errors[0] / errors[1] > 10  # 16, against 4 in first order


@pytest.mark.parametrize("duration", [0.5, math.inf])
def test_gain_and_bandwidth_of_each_amplifier_are_those_of_the_same_dies_netlist(duration):
    slow = QUIET.replace(opamp__gain=200.0, opamp__gbw=2e8, opamp__second_pole=math.inf)
    slow = slow.replace(resistors__tolerance=1e-4, capacitors__tolerance=1e-4)
    surrogate, circuit = ends(drawn(slow), "crossbar", duration)
    error = np.linalg.norm(surrogate - circuit)
    assert error < 1e-4 * np.linalg.norm(circuit)
    # Negative control: amplifiers of these offsets which are otherwise alike.
    alike = [one.model_copy(update=dict.fromkeys(BENT, 0.0)) for one in drawn(slow).opamp.transistors]
    without, _ = ends(slow.replace(opamp__offset=0.0, opamp__transistors=alike), "crossbar", duration)
    assert np.linalg.norm(without - circuit) > 10 * error


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("duration", [1.0, math.inf])
def test_lot_and_gradient_are_those_of_the_same_dies_netlist(fabric, duration):
    surrogate, circuit = ends(QUIET.replace(**SPREAD), fabric, duration)
    error = np.linalg.norm(surrogate - circuit)
    assert error < 3e-3 * np.linalg.norm(circuit)
    # Negative control: the same die without them.
    without, _ = ends(QUIET, fabric, duration)
    assert np.linalg.norm(without - circuit) > 10 * error


@pytest.mark.parametrize("fabric", FABRICS)
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 7))
def test_one_seed_has_the_same_parts_in_the_surrogate_and_in_spice(fabric, seed, n):
    technology, (system, b) = QUIET.replace(**SPREAD), system_of(fabric, n)
    program = lay_out(system.A.numpy(), fabric, technology).on(Die(technology, seed))
    for device in (SpiceDevice(technology, seed, fabric), SurrogateDevice(true_card(technology, fabric), seed)):
        device.solve(system, b, 0.0)
        assert device.program.to_spice() == program.to_spice()


def test_another_dies_circuit_is_told_from_this_one():
    _, circuit = ends(QUIET, "crossbar", math.inf, die=3)
    surrogate, _ = ends(QUIET, "crossbar", math.inf, die=4)
    assert np.linalg.norm(surrogate - circuit) > 5e-3 * np.linalg.norm(circuit)


@pytest.mark.parametrize("fabric", FABRICS)
def test_covariance_is_that_of_the_same_dies_netlist(fabric):
    """Of the resistors; that of amplifiers is in `test_amplifier_noise`."""
    mild = REAL.replace(opamp__noise_voltage=0.0)
    technology = mild.replace(thermal__to_hot=1e-3, thermal__hot_temperature=400.0)
    system, _ = system_of(fabric)
    program = lay_out(system.A.numpy(), fabric, technology).on(Die(technology, 3))
    zero = np.zeros(program.size)
    _, law = propagate(program, zero, zero, math.inf, true_card(technology, fabric), noisy=True)
    circuit = circuit_of(program, zero, zero).covariance()
    np.testing.assert_allclose(law.numpy(), circuit, rtol=0, atol=5e-3 * np.abs(circuit).max())
    # Negative control: the law of one temperature is not that of a die with a hot edge.
    cold = lay_out(system.A.numpy(), fabric, mild).on(Die(mild, 3))
    _, wrong = propagate(cold, zero, zero, math.inf, true_card(mild, fabric), noisy=True)
    assert np.abs(wrong.numpy() - circuit).max() > 0.02 * np.abs(circuit).max()


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("duration", [0.0, 0.1, 1.0, 10.0, math.inf])
def test_perfect_parts_are_the_ideal_device(fabric, duration):
    system, b = system_of(fabric)
    x0 = torch.linspace(-1, 1, 6, dtype=torch.float64)
    found = SurrogateDevice(true_card(preset("ideal"), fabric), 5).solve(system, b, duration, x0=x0).x
    exact = IdealDevice().solve(system, b, duration, x0=x0).x
    assert float((found - exact).norm()) <= 1e-9 * float(exact.norm())


def test_thermal_noise_of_readings_has_the_laws_variance():
    technology = REAL.replace(
        resistors__unit=1e8, adc__bits=None, dac__bits=None
    )  # 64 uV rms of noise whatever R: kT/C
    device = SurrogateDevice(true_card(technology), None)
    system, b = system_of("crossbar", n=3)
    ends, law = [], None
    for _ in range(400):
        device.solve(system, b, 50.0, x0=torch.linalg.solve(system.A, b))
        ends.append(device.probe.settled)
    program = device.program
    _, law = propagate(program, np.zeros(3), np.zeros(3), 50.0, device.card, noisy=True)
    white = np.linalg.solve(np.linalg.cholesky(law.numpy()), (np.array(ends) - np.mean(ends, axis=0)).T)
    # 1200 squares of standard normals: sqrt(2 / 1200) each; four of them.
    assert np.mean(white**2) == pytest.approx(1.0, abs=4 * math.sqrt(2 / 1200))


def test_the_same_seed_gives_the_same_readings():
    system, b = system_of("crossbar")
    runs = [
        [device.solve(system, b, 4.0).x for _ in range(3)]
        for device in (SurrogateDevice(true_card(REAL), 7) for _ in range(2))
    ]
    for first, second in zip(*runs, strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(runs[0][0], runs[0][1])  # noise is drawn anew
    assert not torch.equal(runs[0][0], SurrogateDevice(true_card(REAL), 8).solve(system, b, 4.0).x)


def test_a_die_is_the_same_in_problems_of_every_size():
    # Two systems without couplings between them: the first block must not notice the second.
    technology = QUIET.replace(adc__bits=None, dac__bits=None, adc__offset=0.0, thermal__to_hot=0.0, opamp__power=0.0)
    block = spd(3, 10.0, 4)
    large = np.zeros((5, 5))
    large[:3, :3], large[3:, 3:] = block, np.eye(2) * np.abs(block).max()
    b = torch.tensor([1.0, -0.5, 0.2, 0.1, 0.3], dtype=torch.float64)
    card = true_card(technology)
    small = SurrogateDevice(card, 9).solve(Dense(torch.tensor(block)), b[:3], math.inf).x
    both = SurrogateDevice(card, 9).solve(Dense(torch.tensor(large)), b, math.inf).x
    np.testing.assert_allclose(both[:3], small, rtol=1e-6)
    other = SurrogateDevice(card, 10).solve(Dense(torch.tensor(large)), b, math.inf).x
    assert float((other[:3] - small).norm()) > 1e-3 * float(small.norm())


def test_the_cards_figures_rule_over_the_technologys():
    system, b = system_of("crossbar")
    exact = torch.linalg.solve(system.A, b)
    technology = QUIET.replace(
        adc__bits=None, dac__bits=None, adc__gain_error=0.0, dac__gain_error=0.0, adc__offset=0.0, dac__offset=0.0
    )

    def error(**changes):
        card = true_card(
            technology.replace(thermal__ambient_rms=0.0, thermal__to_hot=0.0, opamp__power=0.0),
            mismatch=0.0,
            offset=0.0,
            leak=0.0,
        )
        return float(
            (SurrogateDevice(card.replace(**changes), 3).solve(system, b, math.inf).x - exact).norm() / exact.norm()
        )

    assert error() < 1e-7
    assert error(gain=1.01) == pytest.approx(0.01, rel=1e-6)
    for name, value in (("mismatch", 0.01), ("offset", 1e-3), ("leak", 1e-3)):
        small, large = error(**{name: value}), error(**{name: 2 * value})
        assert 1.6 < large / small < 2.4, name


# Beyond the card

NARROW = Validity(unknowns=(4, 8), condition_number=(1.0, 50.0), duration=20.0, level=1.0, temperature=(290.0, 310.0))


def narrow(technology=QUIET, **changes):
    return true_card(technology).model_copy(update={"validity": NARROW.model_copy(update=changes)})


def ask(device, n=6, condition=20.0, duration=5.0):
    system = Dense(torch.tensor(spd(n, condition, 1)))
    return device.solve(system, torch.ones(n, dtype=torch.float64), duration)


@pytest.mark.parametrize(
    ("question", "bound"),
    [
        ({"n": 3}, "3 unknowns, calibrated for 4 to 8"),
        ({"n": 9}, "9 unknowns, calibrated for 4 to 8"),
        ({"condition": 60.0}, "condition number 60, calibrated for at most 50"),
        ({"duration": math.inf}, "duration inf tau, calibrated for at most 20 tau"),
    ],
)
def test_a_card_does_not_answer_for_what_it_has_not_seen_unless_told_to(question, bound):
    device = SurrogateDevice(narrow(), 3)
    with pytest.raises(InputError, match=f"outside of what this card was calibrated for: {bound}.*extrapolate=True"):
        ask(device, **question)
    told = SurrogateDevice(narrow(), 3, extrapolate=True)
    solution = ask(told, **question)
    assert solution.outcome is Outcome.EXTRAPOLATED
    assert solution.outcome.readable
    assert solution.violations == (bound,)
    # It is the same answer that a card without bounds gives, and the next question is judged anew.
    assert torch.equal(solution.x, ask(SurrogateDevice(true_card(QUIET), 3), **question).x)
    again = ask(told)
    assert (again.outcome, again.violations) == (Outcome.OK, ())


def test_within_its_range_a_card_answers():
    for question in ({}, {"n": 4}, {"n": 8, "condition": 50.0}, {"duration": 20.0}, {"duration": 0.0}):
        assert ask(SurrogateDevice(narrow(), 3), **question).outcome is Outcome.OK


def test_temperature_and_level_have_bounds_too():
    hot = QUIET.replace(thermal__ambient=330.0, thermal__ambient_rms=0.0)
    with pytest.raises(InputError, match=r"a die of 33.* K, calibrated for 290 to 310 K"):
        ask(SurrogateDevice(narrow(hot), 3))
    device = SurrogateDevice(narrow(level=0.05), 3, extrapolate=True)
    solution = ask(device)
    assert solution.outcome is Outcome.EXTRAPOLATED
    assert "node voltages of" in solution.violations[0]
    with pytest.raises(InputError, match=r"calibrated for at most 0\.05 V"):
        ask(SurrogateDevice(narrow(level=0.05), 3))


def test_a_rejected_call_changes_nothing():
    device, twin = SurrogateDevice(narrow(), 3), SurrogateDevice(narrow(), 3)
    for board in (device, twin):
        ask(board)
    with pytest.raises(InputError, match="unknowns"):
        ask(device, n=9)
    with pytest.raises(InputError, match="duration"):
        device.evolve(21.0)
    assert torch.equal(device.evolve(1.0).x, twin.evolve(1.0).x)


def test_what_clips_is_clipped_and_what_runs_away_unstable_wherever_the_card_ends():
    class Stuck(SurrogateDevice):
        """Its amplifiers sit at their rails, whatever the drive."""

        def _relax(self, program, currents, state, spans, rng, places):
            return Voltages(np.full((len(currents), len(spans), program.size), 3.0))

    assert ask(Stuck(narrow(), 3, extrapolate=True), n=9).outcome is Outcome.OFFSET_CLIPPED
    indefinite = Dense(torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64))
    told = SurrogateDevice(narrow(), 3, extrapolate=True)
    assert told.solve(indefinite, torch.ones(2, dtype=torch.float64), 1.0).outcome is Outcome.UNSTABLE


def test_a_layout_is_beyond_a_card_of_schematics():
    bound = "an array with its layout, calibrated on schematics"
    with pytest.raises(InputError, match=bound):
        ask(SurrogateDevice(narrow(layout=False), 3, layout=True))
    told = SurrogateDevice(narrow(layout=False), 3, layout=True, extrapolate=True)
    solution = ask(told)
    assert (solution.outcome, solution.violations) == (Outcome.EXTRAPOLATED, (bound,))
    # Negative controls: a schematic, and a card that was fitted with one.
    assert ask(SurrogateDevice(narrow(layout=False), 3)).outcome is Outcome.OK
    assert ask(SurrogateDevice(narrow(layout=True), 3, layout=True)).outcome is Outcome.OK
    with pytest.raises(InputError, match="its law has no wires"):
        SurrogateDevice(narrow(layout=True).model_copy(update={"fabric": "oscillator"}), 3, layout=True)


@pytest.mark.parametrize("layout", [False, True])
@pytest.mark.parametrize("mismatch", [500.0, 1e300])
def test_a_law_that_is_not_finite_has_no_reading(mismatch, layout):
    """Of a card that was changed past its checks: the value itself is rejected."""
    card = true_card(REAL)
    with pytest.raises(InputError, match="mismatch"):
        card.replace(mismatch=mismatch)
    card = card.model_copy(update={"mismatch": Estimate(value=mismatch, std=0.0)})
    with np.errstate(all="ignore"):
        solution = ask(SurrogateDevice(card, 3, layout=layout))
    assert solution.outcome is Outcome.UNSTABLE
    assert torch.isnan(solution.x).all()


def test_a_mode_that_grows_beyond_the_numbers_has_no_reading():
    class Unwatched(SurrogateDevice):
        """Runs whatever it is given."""

        def _is_stable(self, program):
            return True

    system, b = Dense(torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))), torch.ones(2, dtype=torch.float64)
    assert Unwatched(true_card(REAL), 3).solve(system, b, 1.0).outcome.readable
    assert Unwatched(true_card(REAL), 3).solve(system, b, 1e6).outcome is Outcome.UNSTABLE
