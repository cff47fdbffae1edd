"""Dies: what a seed means, and the statistics of what it draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.die import STREAMS, Die
from thermograd.circuits.technology.presets import preset

TECHNOLOGY = preset("integrated")
SHARED = {
    "resistors__die_to_die": 0.15,
    "resistors__gradient": 0.02,
    "capacitors__die_to_die": 0.1,
    "capacitors__gradient": 0.01,
}
SPREAD = TECHNOLOGY.replace(**SHARED)
PLACES = np.linspace(0, 1, 5)[:, None], np.linspace(0, 1, 5)[None, :]
GOLDEN = {"coupling": [0.32803279065429286, -2.0348914756661376], "offset": [1.3702307417055075, 2.5810125203663246]}


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**40), small=st.integers(1, 6), large=st.integers(1, 6), part=st.sampled_from(list(STREAMS))
)
def test_a_places_deviate_depends_on_neither_the_size_nor_the_order_of_asking(seed, small, large, part):
    shape = {"coupling": lambda n: (2, n, n), "ground": lambda n: (2, n)}.get(part, lambda n: (1, n))
    first, second = Die(TECHNOLOGY, seed), Die(TECHNOLOGY, seed)
    common = tuple(slice(extent) for extent in shape(min(small, large)))
    a = first.deviates(part, shape(small))[common]
    second.deviates(part, shape(large))
    b = second.deviates(part, shape(small))[common]
    assert a.shape == b.shape
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(first.deviates(part, shape(large))[common], a)


def test_deviates_are_standard_normal_and_independent_from_place_to_place():
    z = Die(TECHNOLOGY, 7).deviates("coupling", (2, 100, 100)).ravel()
    # 20,000 draws: mean 0.007, variance 0.010, lag-one correlation 0.007 (one standard error); 4.5 of them each.
    assert abs(z.mean()) < 0.032
    assert abs(z.var() - 1) < 0.045
    assert abs(np.mean(z[1:] * z[:-1])) < 0.032


def test_kinds_of_parts_and_dies_are_independent():
    one, two = Die(TECHNOLOGY, 1), Die(TECHNOLOGY, 2)
    streams = [die.deviates(part, (1, 4000))[0] for die in (one, two) for part in STREAMS]
    correlation = np.corrcoef(streams) - np.eye(len(streams))
    # 496 pairs of 4000 draws: one standard error is 0.016, the largest of 496 is below 4.5 of them.
    assert np.abs(correlation).max() < 4.5 / np.sqrt(4000)


def test_the_test_above_sees_a_shared_stream():
    one = Die(TECHNOLOGY, 1)
    again = Die(TECHNOLOGY, 1)
    assert np.corrcoef(one.deviates("offset", (1, 4000)), again.deviates("offset", (1, 4000)))[0, 1] > 0.99


def test_the_meaning_of_a_seed_is_fixed():
    # Cards and reports name dies by their seeds: a change of these values is a change of every published result.
    die = Die(TECHNOLOGY, 1)
    np.testing.assert_allclose(die.deviates("coupling", (2, 1, 1)).ravel(), GOLDEN["coupling"], rtol=1e-12)
    np.testing.assert_allclose(die.deviates("offset", (1, 2))[0], GOLDEN["offset"], rtol=1e-12)


def test_no_seed_is_a_die_without_any_deviation():
    die = Die(SPREAD, None)
    assert not die.deviates("coupling", (2, 5, 5)).any()
    assert not die.resistor_shift(*PLACES).any()
    assert not die.capacitor_shift(*PLACES).any()
    assert die.ambient == TECHNOLOGY.thermal.ambient


def test_ambient_temperatures_of_dies_scatter_as_the_technology_says():
    small = TECHNOLOGY.replace(thermal__cells=1)
    ambient = np.array([Die(small, seed).ambient for seed in range(200)])
    # 200 dies: mean within 4 * 2 / sqrt(200) K, variance within 4 * sqrt(2 / 200) of itself.
    assert ambient.mean() == pytest.approx(300.15, abs=0.57)
    assert ambient.var() == pytest.approx(4.0, rel=0.4)


def shifts(technology, dies=1000):
    """(resistors, capacitors), each (dies, 5, 5): what the parts of each die share at a grid of places from edge to edge."""
    small = technology.replace(thermal__cells=1)
    drawn = [Die(small, seed) for seed in range(dies)]
    return tuple(
        np.array([getattr(die, name)(*PLACES) for die in drawn]) for name in ("resistor_shift", "capacitor_shift")
    )


def assert_scatter(values, sigma):
    """Mean 0 and standard deviation sigma, within four standard errors; values are independent."""
    assert abs(values.mean()) < 4 * sigma / np.sqrt(values.size)
    assert values.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * values.size))


def assert_independent(*values):
    correlation = np.corrcoef(values) - np.eye(len(values))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(len(values[0]))


def test_die_to_die_shifts_vary_as_the_technology_says_and_are_the_same_all_over_a_die():
    resistors, capacitors = shifts(TECHNOLOGY.replace(resistors__die_to_die=0.15, capacitors__die_to_die=0.1))
    for found, sigma in ((resistors, 0.15), (capacitors, 0.1)):
        assert np.ptp(found, axis=(1, 2)).max() == 0.0
        assert_scatter(found[:, 0, 0], sigma)
    assert_independent(resistors[:, 0, 0], capacitors[:, 0, 0])
    # Negative control: the check sees a fifth of the standard deviation, and one die's shift in place of another's.
    with pytest.raises(AssertionError):
        assert_scatter(1.2 * resistors[:, 0, 0], 0.15)
    with pytest.raises(AssertionError):
        assert_independent(resistors[:, 0, 0], resistors[:, 0, 0] + capacitors[:, 0, 0])


def test_gradients_are_planes_through_the_middle_with_independent_slopes():
    resistors, capacitors = shifts(TECHNOLOGY.replace(resistors__gradient=0.02, capacitors__gradient=0.01))
    slopes = []
    for found, sigma in ((resistors, 0.02), (capacitors, 0.01)):
        assert not found[:, 2, 2].any()
        down, across = found[:, 4, 2] - found[:, 0, 2], found[:, 2, 4] - found[:, 2, 0]
        plane = down[:, None, None] * (PLACES[0] - 0.5) + across[:, None, None] * (PLACES[1] - 0.5)
        np.testing.assert_allclose(found, plane, atol=1e-15)
        assert_scatter(down, sigma)
        assert_scatter(across, sigma)
        slopes += [down, across]
    assert_independent(*slopes)


def test_die_to_die_variation_and_gradient_add_up_and_leave_the_other_deviates_alone():
    place = np.array(0.3), np.array(0.9)
    both = Die(SPREAD, 6)
    alone = [Die(TECHNOLOGY.replace(**{key: value}), 6) for key, value in SHARED.items()]
    assert both.resistor_shift(*place) == pytest.approx(sum(die.resistor_shift(*place) for die in alone), rel=1e-12)
    assert both.capacitor_shift(*place) == pytest.approx(sum(die.capacitor_shift(*place) for die in alone), rel=1e-12)
    assert both.ambient == alone[0].ambient
    np.testing.assert_array_equal(both.deviates("coupling", (2, 4, 4)), alone[0].deviates("coupling", (2, 4, 4)))


def test_resistance_drifts_by_both_temperature_coefficients():
    die = Die(TECHNOLOGY.replace(resistors__tc1=1e-3, resistors__tc2=1e-5), None)
    np.testing.assert_allclose(
        die.temperature_factor(np.array([300.15, 310.15, 290.15])), [1.0, 1.011, 0.991], rtol=1e-12
    )


def test_a_resistance_never_drifts_to_zero():
    die = Die(TECHNOLOGY.replace(resistors__tc1=-0.02), None)
    assert die.temperature_factor(np.array([400.0]))[0] == 0.05


@pytest.mark.parametrize("seed", [-1, 1.5, "1", (1,)])
def test_a_seed_that_names_no_die_is_rejected(seed):
    with pytest.raises(InputError, match="die seed must be a non-negative integer or None"):
        Die(TECHNOLOGY, seed)


def test_numbered_deviates_are_normal_independent_and_belong_to_their_place():
    die = Die(preset("ideal"), 8)
    channel, number = np.divmod(np.arange(200_000), 1000)
    z = die.deviates_of("dac_step", channel, number)
    rows = z.reshape(200, 1000)
    for power, moment, scatter in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(z**power) - moment) < 4 * np.sqrt(scatter / z.size), power
    # Neighbours along a channel, in the next channel, at the same place on the next die and in the other converter.
    strangers = [
        (rows[:, 1:], rows[:, :-1]),
        (rows[1:], rows[:-1]),
        (z, Die(preset("ideal"), 9).deviates_of("dac_step", channel, number)),
        (z, die.deviates_of("adc_step", channel, number)),
    ]
    for a, b in strangers:
        assert abs(np.mean(a * b)) < 4 / np.sqrt(a.size)
        assert abs(np.mean(a**2 * b**2) - 1) < 4 * np.sqrt(8 / a.size)
    shuffled = np.random.default_rng(0).permutation(200_000)[:500]
    np.testing.assert_array_equal(die.deviates_of("dac_step", channel[shuffled], number[shuffled]), z[shuffled])
    assert not Die(preset("ideal"), None).deviates_of("dac_step", channel, number).any()


def test_what_follows_from_a_die_is_kept_until_it_is_another_ones():
    die, made = Die(preset("ideal").replace(thermal__cells=2), 1), []

    def make():
        made.append(0)
        return np.zeros(3)

    first = die.kept("a", 1, make)
    assert die.kept("a", 1, make) is first
    assert die.kept("a", 2, make) is not first
    assert die.kept("b", 2, make) is not first
    assert len(made) == 3
    # Of another temperature, what was kept is not true any more.
    assert die.at(np.full((2, 2), 350.0)).kept("b", 2, make) is not die.kept("b", 2, make)
    assert len(made) == 4
