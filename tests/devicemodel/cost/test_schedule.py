"""Schedules against a simulation of host, link and array, event by event, and against the step in turn."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cost.digital_host import DigitalHost
from thermograd.devicemodel.cost.model import Scenario
from thermograd.devicemodel.cost.refinement import ReadingPlan
from thermograd.devicemodel.cost.schedule import NAMES, schedule_of, schedules

STEPS = 60
machines = st.builds(
    Scenario,
    parameters=st.integers(10, 10**5),
    batch=st.integers(1, 64),
    outputs=st.integers(1, 10),
    layout=st.sampled_from(["dual", "factored"]),
    technology=st.sampled_from([preset("paper"), preset("integrated")]),
    duration=st.floats(1.0, 1000.0),
    host=st.builds(DigitalHost, rate=st.floats(1e9, 1e13)),
)


def simulated(scenario, shadow, every=1):
    """Mean period, of steps whose curvature is that of the latest earlier step that is written: resources are taken in turn."""
    cost = scenario.cost()
    times = {part.name: part.seconds for part in cost.parts}
    share = 3 / (3 + 2 * scenario.outputs + dual_share(scenario))
    g, c = share * times["derivatives"], (1 - share) * times["derivatives"]
    p, s = times["programming"], sum(times[name] for name in ("transfers", "DAC", "settling", "ADC"))
    host = solved = written = formed = 0.0
    ends = []
    for step in range(every * STEPS):
        fresh = step % every == 0
        begin = max(host, solved)
        if fresh and not shadow:  # codes are written when the array is free and the curvature is there
            written = max(formed, solved, begin) + p
        host = begin + g
        solved = max(host, written) + s
        if fresh:
            host += c
            formed = host
        ends.append(solved)
    half = len(ends) // 2
    return (ends[-1] - ends[half - 1]) / (len(ends) - half)


def dual_share(scenario):
    """Operations of the Gram matrix in forward passes: (k (k + 1) N + 2 k N) / (2 b N)."""
    k = scenario.batch * scenario.outputs
    return 0.0 if scenario.layout == "factored" else (k * (k + 1) + 2 * k) / (2 * scenario.batch)


@settings(max_examples=50, deadline=None)
@given(machines)
def test_overlapped_steps_are_those_of_a_simulation(scenario):
    assert schedule_of(scenario, "overlapped").seconds == pytest.approx(simulated(scenario, False), rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(machines)
def test_in_turn_is_the_step_cost_and_overlap_is_never_slower(scenario):
    cost, [turn, overlapped, double] = scenario.cost(), schedules(scenario)
    assert (turn.seconds, turn.joules) == (
        pytest.approx(cost.seconds, rel=1e-9),
        pytest.approx(cost.joules, rel=1e-9),
    )
    assert double.seconds <= overlapped.seconds * (1 + 1e-12)
    assert overlapped.seconds <= turn.seconds * (1 + 1e-12)
    for one in (turn, overlapped, double):
        assert max(one.host, one.link, one.array) <= 1 + 1e-9
        assert getattr(one, one.limit) == max(one.host, one.link, one.array)
    busiest = max(turn.host, turn.link, turn.array) * turn.seconds
    assert double.seconds >= busiest * (1 - 1e-9)


@settings(max_examples=30, deadline=None)
@given(machines, st.integers(2, 20), st.sampled_from(NAMES))
def test_a_curvature_that_serves_longer_is_cheaper_and_bounded_by_steps_without_one(scenario, every, name):
    once, kept = schedule_of(scenario, name), schedule_of(scenario, name, every)
    assert kept.seconds <= once.seconds * (1 + 1e-12)
    assert kept.joules <= once.joules * (1 + 1e-9)
    times = {part.name: part.seconds for part in scenario.cost().parts}
    gradient = 3 / (3 + 2 * scenario.outputs + dual_share(scenario)) * times["derivatives"]
    solution = math.fsum(times[one] for one in ("transfers", "DAC", "settling", "ADC"))
    assert kept.seconds >= (gradient + solution) * (1 - 1e-9)


def test_energy_of_a_schedule_is_its_parts_and_what_waits():
    scenario = dataclasses.replace(
        Scenario(2410, 32, 9, "dual", preset("integrated"), 20.0, reading=ReadingPlan(2)),
    )
    cost, found = scenario.cost(), schedule_of(scenario, "overlapped")
    own = {part.name: part.joules for part in cost.parts if part.name not in ("idle host", "standby")}
    working = cost.part("derivatives").seconds + cost.part("residuals").seconds
    waits = 53.0 * (found.seconds - working) + 288 * 5e-4 * (found.seconds - cost.part("settling").seconds)
    assert found.joules == pytest.approx(sum(own.values()) + waits, rel=1e-12)
    assert found.age == 1


def test_wrong_arguments_are_named():
    scenario = Scenario(10, 1, 1)
    with pytest.raises(InputError, match="schedule 'fast' is unknown; there are: in turn, overlapped"):
        schedule_of(scenario, "fast")
    with pytest.raises(InputError, match="every is 0: give an integer >= 1"):
        schedule_of(scenario, "in turn", 0)
