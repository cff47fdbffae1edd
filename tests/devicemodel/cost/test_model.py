"""Laws of the cost of a step: how each part goes with its knob, sums, limits, and where the bottleneck changes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.converters import Link
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cost.digital_host import DigitalHost
from thermograd.devicemodel.cost.model import (
    KNOBS,
    WHOLE,
    Scenario,
    run_seconds,
    step_cost,
    step_time,
)
from thermograd.devicemodel.cost.refinement import ReadingPlan
from thermograd.devicemodel.cost.solver_array import SolverArray
from thermograd.devicemodel.cost.step import GROUPS, PARTS, StepCost
from thermograd.devicemodel.cost.sweeps import handovers, knob_values, sweep
from thermograd.devicemodel.cost.workload import LAYOUTS

PAPER, INTEGRATED = preset("paper"), preset("integrated")
LARGE = Scenario(100_000, 32, 20, duration=50.0)
"""The largest network of the paper's figure 2."""

scenarios = st.builds(
    Scenario,
    parameters=st.integers(1, 10**6),
    batch=st.integers(1, 256),
    outputs=st.integers(1, 100),
    layout=st.sampled_from(LAYOUTS),
    technology=st.sampled_from([PAPER, INTEGRATED, PAPER.replace(adc__count=8, adc__rate=1e6, dac__count=3, dac__rate=2e6)]),
    duration=st.floats(0.0, 1e4),
    host=st.builds(
        DigitalHost,
        rate=st.floats(1e6, 1e18), power=st.floats(0, 1e4), bandwidth=st.floats(1e6, 1e15), idle_power=st.floats(0, 1e3),
    ),
    attempts=st.integers(1, 5),
    reading=st.builds(ReadingPlan, rounds=st.none() | st.integers(0, 20), chopped=st.booleans()),
)  # fmt: skip


def times(cost: StepCost) -> dict[str, float]:
    return {part.name: part.seconds for part in cost.parts}


def energies(cost: StepCost) -> dict[str, float]:
    return {part.name: part.joules for part in cost.parts}


def changed(scenario: Scenario, **fields: object) -> StepCost:
    return dataclasses.replace(scenario, technology=scenario.technology.replace(**fields)).cost()


# ------------------------------------------------------------------------------------------- the paper's numbers


def test_the_papers_machine_by_hand() -> None:
    """k = 640, N = 1e5: k (k + 2 N) codes of 16 bits at 50 Gb/s; 50 tau of 1 us; N words in and N out."""
    cost = LARGE.cost()
    assert times(cost)["programming"] == pytest.approx(640 * 200_640 * 16 / 50e9, rel=1e-12)
    assert times(cost)["settling"] == pytest.approx(50e-6, rel=1e-12)
    assert times(cost)["transfers"] == pytest.approx(64e-6, rel=1e-12)
    assert times(cost)["DAC"] == times(cost)["ADC"] == 0  # converters keep up with the link there
    assert times(cost)["derivatives"] == pytest.approx((6 * 32 + 4 * 640) * 1e5 / 5.85e12, rel=1e-12)
    assert energies(cost)["ADC"] == pytest.approx(1e5 * 65536 * 8.5e-14, rel=1e-12)
    assert energies(cost)["programming"] == pytest.approx(640 * 200_640 * 16 * (1.4e-12 + 0.16e-12), rel=1e-12)
    assert energies(cost)["derivatives"] == pytest.approx(400 * times(cost)["derivatives"], rel=1e-12)
    waits = cost.seconds - times(cost)["derivatives"]
    assert energies(cost)["idle host"] == pytest.approx(53 * waits, rel=1e-12)
    assert (cost.bottleneck, cost.energy_bottleneck) == ("programming", "idle host")
    awake = dataclasses.replace(LARGE, host=DigitalHost(idle_power=0.0)).cost()  # what was stated without it
    assert awake.energy_bottleneck == "derivatives"
    assert cost.joules > 70 * awake.joules


def test_the_papers_growth_with_the_parameters() -> None:
    """O(b dz N + t): what grows with N grows linearly, and t does not grow. The multiplied-out matrix is the negative control."""

    def is_affine(scenario: Scenario) -> bool:
        a, b, c = (scenario.turned("parameters", n).cost().seconds for n in (10_000, 20_000, 30_000))
        return math.isclose(b - a, c - b, rel_tol=1e-9)

    assert is_affine(LARGE)
    assert is_affine(dataclasses.replace(LARGE, layout="dual"))
    assert not is_affine(dataclasses.replace(LARGE, layout="dense"))


# ------------------------------------------------------------------------------------------------ laws, one by one


@given(scenarios)
def test_the_parts_are_the_total_and_the_groups_are_the_parts(scenario: Scenario) -> None:
    cost = scenario.cost()
    assert tuple(times(cost)) == PARTS
    assert sorted(itertools.chain(*GROUPS.values())) == sorted(PARTS)
    assert cost.seconds == pytest.approx(sum(times(cost).values()), rel=1e-12)
    assert cost.joules == pytest.approx(sum(energies(cost).values()), rel=1e-12)
    for energy, leader, whole in ((False, cost.bottleneck, cost.seconds), (True, cost.energy_bottleneck, cost.joules)):
        groups = cost.groups(energy)
        assert sum(groups.values()) == pytest.approx(whole, rel=1e-12)
        assert groups[leader] == max(groups.values())
    assert min(*times(cost).values(), *energies(cost).values()) >= 0
    assert cost.part("ADC").joules == energies(cost)["ADC"]


@given(scenarios, st.floats(1e3, 1e15))
def test_doubling_the_rate_halves_the_transfers_and_nothing_else(scenario: Scenario, rate: float) -> None:
    slow, fast = (times(changed(scenario, link__rate=r)) for r in (rate, 2 * rate))
    for name in PARTS:
        ratio = 0.5 if name in ("programming", "transfers") else 1.0
        assert fast[name] == pytest.approx(ratio * slow[name], rel=1e-12)
    kept, found = energies(scenario.cost()), energies(changed(scenario, link__rate=rate))
    assert {name: found[name] for name in PARTS[:-2]} == {name: kept[name] for name in PARTS[:-2]}


@given(scenarios)
def test_a_fast_link_host_and_converters_leave_the_settling(scenario: Scenario) -> None:
    fast = dataclasses.replace(scenario, host=DigitalHost(rate=math.inf, bandwidth=math.inf))
    cost = changed(fast, link__rate=math.inf, dac__rate=math.inf, adc__rate=math.inf)
    assert cost.seconds == times(cost)["settling"] == times(scenario.cost())["settling"]
    held = changed(fast, link__rate=math.inf, dac__rate=math.inf, adc__rate=1e6)  # negative control: the ADC is left
    assert held.seconds >= cost.seconds + 0.9e-6


def doubles_with_each_bit(energy: Callable[[int], float]) -> bool:
    found = [energy(bits) for bits in range(4, 21)]
    return all(math.isclose(b, 2 * a, rel_tol=1e-12) for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("name", ["DAC", "ADC"])
def test_energy_of_a_conversion_doubles_with_each_bit(name: str) -> None:
    field = name.lower()

    def walden(bits: int) -> float:
        return energies(changed(LARGE, **{f"{field}__bits": bits}))[name]

    def thermal(bits: int) -> float:  # limited by noise: four times with each bit
        fields = {f"{field}__bits": bits, f"{field}__figure_of_merit": 1e-15 * 2**bits}
        return energies(changed(LARGE, **fields))[name]

    assert doubles_with_each_bit(walden)
    assert not doubles_with_each_bit(thermal)
    other = "ADC" if name == "DAC" else "DAC"
    assert energies(changed(LARGE, **{f"{field}__bits": 4}))[other] == energies(LARGE.cost())[other]
    assert energies(changed(LARGE, **{f"{field}__bits": None}))[name] == 0


@given(scenarios, st.integers(4, 23))
def test_bits_of_all_numbers(scenario: Scenario, bits: int) -> None:
    """Converters pay 2^bits, words and codes bits."""
    one, more = (scenario.turned("bits", value).cost() for value in (bits, bits + 1))
    for name in ("DAC", "ADC"):
        assert energies(more)[name] == pytest.approx(2 * energies(one)[name], rel=1e-12)
    for name in ("programming", "transfers"):
        assert times(more)[name] == pytest.approx((bits + 1) / bits * times(one)[name], rel=1e-12)
        assert energies(more)[name] == pytest.approx((bits + 1) / bits * energies(one)[name], rel=1e-12)


@given(cells=st.integers(1, 10**6), count=st.integers(1, 10**4), rate=st.floats(1.0, 1e10), attempts=st.integers(1, 4))
def test_shared_converters_take_turns(cells: int, count: int, rate: float, attempts: int) -> None:
    array = SolverArray(cells, 1, 0, 1e-6, 0.0)
    shared = step_cost(array, PAPER.replace(adc__count=count, adc__rate=rate), 0.0, attempts=attempts)
    turns = shared.part("ADC").seconds * rate / attempts
    assert turns == pytest.approx(round(turns), rel=1e-9)
    assert cells / count <= turns * (1 + 1e-9)
    assert turns < cells / count + 1
    each = step_cost(array, PAPER.replace(adc__rate=rate), 0.0, attempts=attempts)
    assert each.part("ADC").seconds == pytest.approx(attempts / rate)
    assert each.part("ADC").joules == shared.part("ADC").joules  # turns cost time and no energy


@given(scenarios, st.integers(2, 4))
def test_attempts_repeat_what_the_array_does_and_not_its_programming(scenario: Scenario, factor: int) -> None:
    once, more = scenario.cost(), dataclasses.replace(scenario, attempts=factor * scenario.attempts).cost()
    for name in PARTS:
        ratio = 1 if name in ("derivatives", "programming", "residuals") else factor
        assert times(more)[name] == pytest.approx(ratio * times(once)[name], rel=1e-12)
        if name in ("idle host", "standby"):
            continue
        assert energies(more)[name] == pytest.approx(ratio * energies(once)[name], rel=1e-12)


def test_energy_of_the_settling_is_power_and_heat_for_its_time() -> None:
    array = SolverArray(cells=10, codes=100, amplifiers=12, tau=1e-6, heat=0.3)
    technology = PAPER.replace(opamp__power=0.05)
    assert step_cost(array, technology, 2e-5).part("settling").joules == pytest.approx((12 * 0.05 + 0.3) * 2e-5)
    hot, cold = (changed(LARGE, resistors__unit=ohm, capacitors__unit=1e-6 / ohm) for ohm in (1e3, 1e5))
    assert energies(cold)["settling"] == pytest.approx(energies(hot)["settling"] / 100, rel=1e-9)  # the same tau


def test_measured_derivatives_take_the_place_of_the_model() -> None:
    measured = dataclasses.replace(LARGE, digital_seconds=0.25, host=DigitalHost(power=100.0)).cost()
    assert (times(measured)["derivatives"], energies(measured)["derivatives"]) == (0.25, 25.0)
    assert measured.bottleneck == "derivatives"


# ---------------------------------------------------------------------------------------------- sweeps, bottlenecks


def test_the_link_hands_over_to_the_settling_where_they_are_equal() -> None:
    [change] = handovers(LARGE, "rate", 1e9, 1e15)
    assert (change.before, change.after) == ("programming", "settling")
    assert change.value == pytest.approx(640 * 200_640 * 16 / 50e-6, rel=1e-6)
    assert handovers(LARGE, "rate", 1e9, 1e13) == []


def test_converters_hand_over_to_programming_where_there_are_enough() -> None:
    """2 N / (m r) = C w / B, with m whole."""
    slow = LARGE.turned("samples", 4e4)
    [change] = handovers(slow, "converters", 1, 100_000)
    assert (change.before, change.after) == ("converters", "programming")
    exact = 2 * 1e5 / 4e4 / (640 * 200_640 * 16 / 50e9)
    assert exact <= change.value < exact + 1


def test_energy_goes_over_to_the_converters_with_the_bits() -> None:
    """N (10 b) 400 / rate against 2 N E_s 2^bits."""
    awake = Scenario(100_000, 32, 1, host=DigitalHost(idle_power=0.0))
    [change] = handovers(awake, "bits", 4, 20, energy=True)
    assert (change.before, change.after) == ("derivatives", "converters")
    assert change.value == math.ceil(math.log2(10 * 32 * 400 / 5.85e12 / (2 * 8.5e-14)))


@settings(max_examples=60, deadline=None)
@given(scenarios, st.sampled_from(KNOBS), st.booleans())
def test_handovers_are_a_chain_from_the_first_bottleneck_to_the_last(
    scenario: Scenario, knob: str, energy: bool
) -> None:
    low, high = (2.0, 24.0) if knob == "bits" else (1.0, 1e6)
    found = handovers(scenario, knob, low, high, energy)

    def leader(value: float) -> str:
        cost = scenario.turned(knob, value).cost()
        return cost.energy_bottleneck if energy else cost.bottleneck

    names = [leader(low), *(change.after for change in found)]
    assert [change.before for change in found] == names[:-1]
    assert names[-1] == leader(high)
    for change in found:
        below = change.value - 1 if knob in WHOLE else change.value * (1 - 2e-9)
        assert (leader(below), leader(change.value)) == (change.before, change.after)
    edges = [low, *(change.value for change in found), high]
    for name, (start, stop) in zip(names, itertools.pairwise(edges), strict=True):
        middle = math.sqrt(start * stop)
        assert (
            leader(
                math.floor(middle)
                if knob in WHOLE and math.floor(middle) >= start
                else middle
                if knob not in WHOLE
                else start
            )
            == name
        )


@given(st.sampled_from(KNOBS), st.floats(1, 1e3), st.floats(1.5, 1e3), st.integers(2, 50))
def test_values_of_a_knob_go_from_bound_to_bound(knob: str, low: float, ratio: float, count: int) -> None:
    low, high = (float(round(low)), float(round(low) * round(ratio + 0.5))) if knob in WHOLE else (low, low * ratio)
    values = knob_values(knob, low, high, count)
    assert (values[0], values[-1]) == (low, high)
    assert values == sorted(set(values))
    assert len(values) <= count
    if knob in WHOLE:
        assert all(value == int(value) for value in values)
    else:
        assert len(values) == count
        steps = [b / a for a, b in itertools.pairwise(values)]
        assert max(steps) == pytest.approx(min(steps), rel=1e-6)


def test_a_sweep_is_the_cost_at_each_value() -> None:
    values = [1.0, 7.0, 50.0]
    assert [times(cost)["settling"] for cost in sweep(LARGE, "duration", values)] == pytest.approx([1e-6, 7e-6, 5e-5])
    assert LARGE.turned("bits", 8).technology.link.word == 8
    assert LARGE.turned("bits", 8).technology.resistors.bits is None
    coarse = dataclasses.replace(LARGE, technology=INTEGRATED).turned("bits", 6).technology
    assert (coarse.resistors.bits, coarse.adc.bits, coarse.dac.bits) == (6, 6, 6)


# ------------------------------------------------------------------------------------------------- the demo's summary


@given(cells=st.integers(0, 10**5), attempts=st.integers(1, 5), rate=st.floats(1e3, 1e12), word=st.integers(1, 64))
def test_step_time_is_words_over_rate(cells: int, attempts: int, rate: float, word: int) -> None:
    found = step_time(cells, 3e-5, Link(rate=rate, word=word), digital=0.01, attempts=attempts)
    assert found.programming == pytest.approx(word / rate * cells * (cells + 1) / 2)
    assert found.drive == found.reading == pytest.approx(word / rate * cells * attempts)
    assert (found.digital, found.analog) == (0.01, 3e-5)
    assert found.total == pytest.approx(0.01 + 3e-5 + found.programming + 2 * found.drive)


# ------------------------------------------------------------------------------------------------- text and bad input


def test_the_table_has_every_part_and_the_bottleneck() -> None:
    assert (LARGE.technology.opamp.power, len(LARGE.cost().unsourced)) == (0.0, 5)
    *lines, last = str(LARGE.cost()).splitlines()[: -len(LARGE.cost().unsourced) + 1]
    assert lines[-3].endswith("100.0 %  5 prices not stated")
    lines[-3] = lines[-3].removesuffix("  5 prices not stated")
    assert last == "not sourced: dac.rate is not stated and counts as free"
    assert [line.split("  ")[0] or line.split()[0] for line in (one.strip() for one in lines[1:-2])] == [
        *(name for name in PARTS if name != "digital solve"),
        "total",
    ]
    assert lines[-1] == "a run of 5e-05 s; to 1 % the circuit needs 7.87e-07 s"
    assert lines[-2] == "bottleneck: programming in time, idle host in energy"
    assert len({len(line) for line in lines[:-2]}) == 1
    free = step_cost(SolverArray(1, 0, 0, 1.0, 0.0), preset("ideal").replace(link__rate=math.inf), 0.0)
    assert free.seconds == free.joules == 0
    assert str(free).count(" -") >= 2 * (len(PARTS) - 1)


def test_plain_data_has_the_parts_and_sums() -> None:
    data = LARGE.cost().to_dict()
    assert list(data["parts"]) == list(PARTS)
    assert sum(part["seconds"] for part in data["parts"].values()) == pytest.approx(data["seconds"])
    assert sum(part["joules"] for part in data["parts"].values()) == pytest.approx(data["joules"])


ARRAY = SolverArray(1, 1, 1, 1.0, 0.0)
BAD: dict[str, tuple[Callable[[], object], str]] = {
    "analog": (lambda: step_cost(ARRAY, PAPER, -1.0), r"analog_seconds is -1\.0: give a finite number >= 0, in s"),
    "no time": (lambda: step_cost(ARRAY, PAPER, math.nan), "analog_seconds is nan"),
    "idle power": (lambda: DigitalHost(idle_power=-1.0), r"idle power of the host is -1\.0"),
    "accuracy": (lambda: Scenario(1, 1, 1, accuracy=1.0).cost(), r"accuracy is 1\.0: give a relative one"),
    "condition": (lambda: Scenario(1, 1, 1, condition=0.5).cost(), r"condition is 0\.5: give a finite condition"),
    "unknown circuit": (lambda: run_seconds(ARRAY, None, 0.01), "duration is None, and the array's circuit is not known"),
    "digital": (lambda: step_cost(ARRAY, PAPER, 0.0, math.nan), "digital_seconds is nan"),
    "host's bandwidth": (lambda: DigitalHost(bandwidth=0.0), r"bandwidth of the host is 0\.0: give bytes per second"),
    "attempts": (lambda: step_cost(ARRAY, PAPER, 0.0, attempts=0), "attempts is 0: give an integer >= 1"),
    "host": (lambda: DigitalHost(rate=0.0), r"rate of the host is 0\.0: give operations per second"),
    "host's power": (lambda: DigitalHost(power=math.inf), "power of the host is inf"),
    "time": (lambda: Scenario(1, 1, 1, duration=-1.0).cost(), r"duration is -1\.0: .* in tau"),
    "layout": (lambda: Scenario(1, 1, 1, layout="round").cost(), "layout 'round'"),
    "knob": (lambda: LARGE.turned("volume", 1), "knob 'volume' is unknown; there are: parameters, batch"),
    "whole": (lambda: LARGE.turned("batch", 1.5), r"batch is 1\.5: give a whole number"),
    "not a number": (lambda: LARGE.turned("bits", math.nan), "bits is nan"),
    "bits": (lambda: LARGE.turned("bits", 99), r"dac\.bits"),
    "rate": (lambda: LARGE.turned("rate", 0.0), r"link\.rate"),
    "bounds": (lambda: handovers(LARGE, "rate", 2.0, 1.0), r"bounds of rate are 2\.0 and 1\.0: give 0 < low < high"),
    "measured": (
        lambda: dataclasses.replace(LARGE, digital_seconds=1.0).turned("batch", 2),
        "batch cannot be varied with a measured digital time",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str) -> None:
    call, message = BAD[case]
    with pytest.raises(InputError, match=message):
        call()
