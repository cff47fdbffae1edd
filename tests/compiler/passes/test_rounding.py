"""Rounding for the solution's sake and at random: against the realised matrix, brute force, and the law of large numbers."""

import dataclasses
import inspect
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.technology.e_series import series_values
from thermograd.circuits.technology.parts import Resistors
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, lay_out
from thermograd.compiler.ensemble import compile_ensemble, mean_solution_error
from thermograd.compiler.fabrics.cascade_parts import FactoredParts
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.compiler.factors import low_rank_factors
from thermograd.compiler.matrices import scaled
from thermograd.compiler.passes.choose_fabric import choose_fabric
from thermograd.compiler.passes.quantise import nearest, quantise
from thermograd.compiler.passes.rounding import neighbours, round_for_solution, round_stochastically, rounded
from thermograd.compiler.passes.verify import verify

from ...systems import passive, spd

DENSE = ["dual_rail", "crossbar", "crossbar_single"]
SOLUTION = ["rc", *DENSE]


def technology_of(**resistors):
    return preset("ideal").replace(**{f"resistors__{key}": value for key, value in resistors.items()})


def matrix_for(fabric, n, seed):
    if fabric_named(fabric).active:
        return spd(n, 30.0, seed)
    signed = passive(n, 0.5, seed)
    return signed if fabric == "dual_rail" else 2 * np.diag(np.diag(signed)) - np.abs(signed)


def unrounded(matrix, fabric, technology):
    """The program before rounding, and what `rounded` needs."""
    choice = choose_fabric(matrix, fabric, technology)
    parts, _ = choice.fabric.place(scaled(matrix, choice.scaling, choice.scaling), choice.scaling, technology)
    return parts, choice.fabric, technology, choice.scaling


def program_of(matrix, fabric, technology, rounding, b=None, seed=0):
    given_parts = unrounded(matrix, fabric, technology)
    program = dataclasses.replace(lay_out(matrix, fabric, technology), rounding=rounding)
    return dataclasses.replace(program, parts=rounded(*given_parts, rounding, b, seed))


def error(program, b=None):
    right = np.eye(program.size) if b is None else b
    try:
        found = np.linalg.solve(program.matrix, right)
    except np.linalg.LinAlgError:  # coarse rounding can make a matrix exactly singular
        return math.inf
    return float(np.linalg.norm(found - np.linalg.solve(program.target, right)))


resistors_any = st.one_of(
    st.builds(Resistors, bits=st.integers(1, 16), on_off=st.none() | st.floats(2.0, 1e4), unit=st.just(1e4)),
    st.builds(Resistors, series=st.sampled_from(["E6", "E12", "E24", "E48", "E96", "E192"]), unit=st.just(1e4)),
)


def every_value(resistors, largest):
    """All conductances that can be had from 1e-9 S (codes: from 0) up to the largest."""
    if resistors.bits is not None:
        codes = 2**resistors.bits - 1
        if resistors.on_off is None:
            return np.arange(codes + 1) / codes / resistors.unit
        smallest = 1.0 / (resistors.unit * resistors.on_off)
        return np.append(0.0, smallest + np.arange(codes + 1) / codes * (1.0 / resistors.unit - smallest))
    decades = 10.0 ** np.arange(0, 10)
    values = 1.0 / np.outer(decades, series_values(resistors.series)).ravel()
    return np.sort(values[values <= largest * 2])


@settings(max_examples=80)
@given(resistors=resistors_any, shares=st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=20))
def test_the_neighbours_are_the_values_on_either_side(resistors, shares):
    wanted = np.array(shares) / resistors.unit
    below, above = neighbours(wanted, resistors)
    values = every_value(resistors, 1.0 / resistors.unit)
    for g, low, high in zip(wanted, below, above, strict=True):
        np.testing.assert_allclose(np.abs(values - low).min(), 0.0, atol=1e-9 * max(low, values[-1] * 1e-6))
        np.testing.assert_allclose(np.abs(values - high).min(), 0.0, atol=1e-9 * max(high, values[-1] * 1e-6))
        between = (values > low * (1 + 1e-8)) & (values < high * (1 - 1e-8))
        assert not between.any()
        assert low * (1 - 1e-8) <= g <= high * (1 + 1e-8)
    # The nearest value is one of the two.
    close = nearest(wanted, resistors)
    assert (np.minimum(np.abs(close - below), np.abs(close - above)) <= 1e-9 * close).all()


@pytest.mark.parametrize(
    "resistors", [Resistors(bits=5), Resistors(bits=5, on_off=20.0), Resistors(series="E6"), Resistors(series="E96")]
)
def test_a_part_on_a_value_has_no_choice_and_an_absent_one_stays_absent(resistors):
    values = np.append(every_value(resistors, 1.0 / resistors.unit), 0.0)
    below, above = neighbours(values, resistors)
    np.testing.assert_array_equal(below, above)
    np.testing.assert_allclose(below, values, rtol=1e-9)


def test_beyond_the_largest_code_there_is_no_choice():
    below, above = neighbours(np.array([1.3e-3]), Resistors(unit=1e3, bits=4))
    np.testing.assert_array_equal(below, above)


@pytest.mark.parametrize("fabric", SOLUTION)
@settings(max_examples=12, deadline=None)
@given(n=st.integers(1, 7), seed=st.integers(0, 99), resistors=resistors_any, with_b=st.booleans())
def test_it_is_never_worse_than_the_nearest_values(fabric, n, seed, resistors, with_b):
    technology = preset("ideal").replace(resistors=resistors)
    matrix = matrix_for(fabric, n, seed)
    b = np.random.default_rng(seed).standard_normal(n) if with_b else None
    close, found = (program_of(matrix, fabric, technology, rounding, b) for rounding in ("nearest", "solution"))
    if not close.is_stable():
        return  # then any stable choice will do, and the caller rejects an unstable one
    assert found.is_stable()
    assert error(found, b) <= error(close, b) * (1 + 1e-9) + 1e-12
    wanted = unrounded(matrix, fabric, technology)[0]
    for name in ("coupling", "ground"):
        low, high = neighbours(getattr(wanted, name), resistors)
        chosen = getattr(found.parts, name)
        assert (np.isclose(chosen, low, 1e-12, 0.0) | np.isclose(chosen, high, 1e-12, 0.0)).all()


@pytest.mark.parametrize("with_b", [True, False])
@pytest.mark.parametrize("fabric", SOLUTION)
def test_the_best_of_all_choices_is_found_where_they_can_be_counted(fabric, with_b):
    technology, wins = technology_of(bits=10), 0
    for seed in range(12):
        matrix = matrix_for(fabric, 2, seed)
        b = np.random.default_rng(seed).standard_normal(2) if with_b else None
        program = program_of(matrix, fabric, technology, "solution", b)
        least, worst = math.inf, 0.0
        for parts in all_choices(*unrounded(matrix, fabric, technology)[:2], technology.resistors):
            size = error(dataclasses.replace(program, parts=parts), b)
            least, worst = min(least, size), max(worst, size)
        # The search is exhaustive here, but in first order; the sizes are those of the realised matrix.
        assert error(program, b) <= least * 1.25 + 1e-3 * worst
        wins += error(program, b) <= least * (1 + 1e-9)
    assert wins >= 10


def all_choices(parts, fabric, resistors):
    """Every rounding of n = 2 parts, made without the code under test but for `neighbours`."""
    coupled, grounded = parts.coupling[0], parts.ground[0]
    places = [("coupling", place) for place in np.argwhere(coupled > 0)]
    places += [("ground", place) for place in np.argwhere(grounded > 0)]
    if fabric.symmetric and coupled.ndim == 2:
        places = [(name, place) for name, place in places if name == "ground" or place[0] < place[1]]
    for choice in itertools.product([0, 1], repeat=len(places)):
        made = {"coupling": parts.coupling.copy(), "ground": parts.ground.copy()}
        for up, (name, place) in zip(choice, places, strict=True):
            made[name][(slice(None), *place)] = neighbours(getattr(parts, name)[0][tuple(place)], resistors)[up]
        if fabric.symmetric and coupled.ndim == 2:
            made["coupling"][:, 1, 0] = made["coupling"][:, 0, 1]
        yield dataclasses.replace(parts, **made)


@pytest.mark.parametrize(("fabric", "most"), [("crossbar", 0.2), ("dual_rail", 0.4), ("rc", 0.4)])
def test_a_solution_aimed_at_is_met_far_better(fabric, most):
    ratios = []
    for seed in range(8):
        matrix, b = matrix_for(fabric, 9, seed), np.random.default_rng(seed).standard_normal(9)
        close, found = (
            error(program_of(matrix, fabric, technology_of(bits=8), rounding, b), b)
            for rounding in ("nearest", "solution")
        )
        ratios.append(found / close)
    assert np.median(ratios) < most


def test_the_droop_of_a_finite_gain_is_made_up_for():
    technology = technology_of(bits=10).replace(opamp__gain=3000.0)
    matrix, b = spd(10, 10.0, 3), np.random.default_rng(0).standard_normal(10)
    found = error(program_of(matrix, "crossbar", technology, "solution", b), b)
    droop = error(program_of(matrix, "crossbar", technology.replace(resistors=Resistors()), "nearest", b), b)
    assert found < 0.2 * droop


def test_input_resistors_off_a_value_are_allowed_for():
    technology = technology_of(series="E24", unit=1.17e4)
    matrix, b = spd(8, 10.0, 5), np.random.default_rng(0).standard_normal(8)
    close, found = (program_of(matrix, "crossbar", technology, rounding, b) for rounding in ("nearest", "solution"))
    assert 1 / close.parts.drive_nominal == pytest.approx(1.2e4)  # one that can be had, and that the host knows of
    np.testing.assert_array_equal(found.parts.drive, close.parts.drive)
    assert error(found, b) < 0.2 * error(close, b)


def test_more_parts_than_one_block_are_chosen_block_by_block(monkeypatch):
    monkeypatch.setattr("thermograd.compiler.passes.rounding.BLOCK", 20)
    matrix, b = spd(9, 30.0, 1), np.random.default_rng(0).standard_normal(9)
    close, found = (
        program_of(matrix, "crossbar", technology_of(bits=8), rounding, b) for rounding in ("nearest", "solution")
    )
    assert error(found, b) < 0.5 * error(close, b)


def test_where_the_nearest_values_run_away_a_stable_choice_is_taken():
    technology = technology_of(bits=4)
    rescued = 0
    for seed in range(20):
        matrix = spd(6, 300.0, seed)
        close, found = (program_of(matrix, "crossbar", technology, rounding) for rounding in ("nearest", "solution"))
        assert found.is_stable() or not close.is_stable()
        rescued += found.is_stable() and not close.is_stable()
    assert rescued > 0


def test_a_drive_of_zero_leaves_the_nearest_values():
    matrix, technology = spd(5, 10.0, 0), technology_of(bits=6)
    close = program_of(matrix, "crossbar", technology, "nearest").parts
    found = program_of(matrix, "crossbar", technology, "solution", np.zeros(5)).parts
    np.testing.assert_array_equal(found.coupling, close.coupling)


@pytest.mark.parametrize("rounding", ["solution", "stochastic"])
@pytest.mark.parametrize("fabric", SOLUTION)
def test_both_rails_and_both_directions_are_rounded_alike(fabric, rounding):
    technology = technology_of(bits=5)
    program = program_of(matrix_for(fabric, 6, 1), fabric, technology, rounding, seed=3)
    parts = program.parts
    for name in ("coupling", "ground", *(["drive"] if fabric != "rc" else [])):
        values = getattr(parts, name)
        np.testing.assert_array_equal(values, np.broadcast_to(values[0], values.shape))
    if fabric == "dual_rail":
        np.testing.assert_array_equal(parts.coupling[0], parts.coupling[0].T)


@pytest.mark.parametrize("resistors", [Resistors(bits=6), Resistors(bits=6, on_off=30.0), Resistors(series="E12")])
@pytest.mark.parametrize("rounding", ["solution", "stochastic"])
@pytest.mark.parametrize("fabric", SOLUTION)
def test_parts_on_a_value_do_not_move(fabric, rounding, resistors):
    technology = preset("ideal").replace(resistors=resistors)
    parts, chosen, technology, scaling = unrounded(matrix_for(fabric, 6, 2), fabric, technology)
    on_values = quantise(parts, resistors)
    found = rounded(on_values, chosen, technology, scaling, rounding, seed=5)
    np.testing.assert_array_equal(found.coupling, on_values.coupling)
    np.testing.assert_array_equal(found.ground, on_values.ground)


@pytest.mark.parametrize(
    "resistors", [Resistors(bits=4), Resistors(bits=4, on_off=8.0), Resistors(series="E12"), Resistors(series="E48")]
)
@pytest.mark.parametrize("fabric", SOLUTION)
def test_the_expected_conductance_is_the_wanted_one(fabric, resistors):
    technology = preset("ideal").replace(resistors=resistors)
    parts, _, _, _ = unrounded(matrix_for(fabric, 6, 4), fabric, technology)
    rng, count = np.random.default_rng(0), 1500
    draws = [round_stochastically(parts, resistors, rng) for _ in range(count)]
    for name in ("coupling", "ground"):
        wanted = getattr(parts, name)
        below, above = neighbours(wanted, resistors)
        # Of a choice between two values; parts without one keep within the last digits.
        sigma = np.sqrt(np.maximum((wanted - below) * (above - wanted), 0.0) / count) + 1e-9 * wanted
        # With up to 84 parts, the largest of their deviates stays below four sigma with a chance of 99.5 %; the seed is fixed.
        found = np.mean([getattr(draw, name) for draw in draws], axis=0)
        assert (np.abs(found - wanted) <= 4 * sigma).all()
    biased = nearest(parts.coupling, resistors)
    below, above = neighbours(parts.coupling, resistors)
    sigma = np.sqrt(np.maximum((parts.coupling - below) * (above - parts.coupling), 0.0) / count)
    assert (np.abs(biased - parts.coupling) > 4 * sigma + 1e-9 * parts.coupling).any()


def test_different_parts_are_drawn_independently():
    technology = technology_of(bits=3)
    parts, _, _, _ = unrounded(matrix_for("crossbar", 4, 4), "crossbar", technology)
    rng = np.random.default_rng(0)
    draws = [round_stochastically(parts, technology.resistors, rng).coupling[0].ravel() for _ in range(4000)]
    moving = np.array(draws)[:, np.std(draws, axis=0) > 0]
    correlation = np.corrcoef(moving.T) - np.eye(moving.shape[1])
    assert np.abs(correlation).max() < 4.5 / math.sqrt(4000)


def test_a_seed_reproduces_and_another_one_differs():
    given_parts = unrounded(spd(6, 30.0, 0), "crossbar", technology_of(bits=5))
    first, again, other = (rounded(*given_parts, "stochastic", seed=seed).coupling for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    twice = [rounded(*given_parts, "solution").coupling for _ in range(2)]
    np.testing.assert_array_equal(*twice)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99),
    bits=st.integers(1, 8),
    on_off=st.floats(2.0, 1e3),
    rounding=st.sampled_from(["solution", "stochastic"]),
)
def test_the_range_of_a_programmable_conductance_is_respected(seed, bits, on_off, rounding):
    technology = technology_of(bits=bits, on_off=on_off, unit=1e4)
    parts = program_of(matrix_for("crossbar", 4, seed), "crossbar", technology, rounding, seed=seed).parts
    present = parts.coupling[parts.coupling > 0]
    assert present.min() >= 1e-4 / on_off * (1 - 1e-9)
    assert present.max() <= 1e-4 * (1 + 1e-9)


@pytest.mark.parametrize("rounding", ["solution", "stochastic"])
@pytest.mark.parametrize("fabric", SOLUTION)
@pytest.mark.parametrize("resistors", [Resistors(bits=6), Resistors(bits=6, on_off=30.0), Resistors(series="E24")])
def test_the_emitted_netlist_passes_verification(fabric, rounding, resistors):
    technology = preset("ideal").replace(resistors=resistors)
    program = program_of(matrix_for(fabric, 5, 3), fabric, technology, rounding, seed=1)
    assert verify(program) < 1e-9


def test_without_a_series_or_bits_nothing_changes():
    parts, fabric, technology, scaling = unrounded(spd(4, 10.0, 0), "crossbar", technology_of())
    for rounding in ("nearest", "solution", "stochastic"):
        assert rounded(parts, fabric, technology, scaling, rounding) is parts


def factored_parts():
    factors = low_rank_factors(np.random.default_rng(0).standard_normal((3, 5)))
    return fabric_named("factored").place_factors(factors, 0.5, np.ones(5), technology_of(bits=5))[0]


def test_a_cascade_is_rounded_at_random_without_bias_but_not_for_a_solution():
    parts, technology = factored_parts(), technology_of(bits=5)
    assert isinstance(parts, FactoredParts)
    rng, count = np.random.default_rng(0), 3000
    draws = [round_stochastically(parts, technology.resistors, rng) for _ in range(count)]
    step = 1.0 / (technology.resistors.unit * 31)
    for k, array in enumerate(parts.arrays):
        found = np.mean([draw.arrays[k].toarray() for draw in draws], axis=0)
        assert np.abs(found - array.toarray()).max() < 4 * step / 2 / math.sqrt(count)
    with pytest.raises(InputError, match="not supported by fabric factored"):
        rounded(parts, fabric_named("factored"), technology, np.ones(5), "solution")


@pytest.mark.parametrize("fabric", ["lc", "spu"])
def test_coils_and_capacitors_stay_as_they_are(fabric):
    given_parts = unrounded(matrix_for("rc", 4, 0), fabric, technology_of(bits=5))
    assert rounded(*given_parts, "stochastic") is given_parts[0]
    with pytest.raises(InputError, match=f"not supported by fabric {fabric}"):
        rounded(*given_parts, "solution")


def test_bad_arguments_are_rejected(monkeypatch):
    given_parts = unrounded(spd(4, 10.0, 0), "crossbar", technology_of(bits=5))
    with pytest.raises(InputError, match="rounding 'up' is unknown"):
        rounded(*given_parts, "up")
    for rounding in ("nearest", "solution", "stochastic"):
        with pytest.raises(InputError, match="seed is -1"):
            rounded(*given_parts, rounding, seed=-1)
    with pytest.raises(InputError):
        rounded(*given_parts, "solution", b=np.ones(3))
    monkeypatch.setattr("thermograd.compiler.passes.rounding.LARGEST", 3)
    with pytest.raises(InputError, match="at most 3 unknowns, this system has 4"):
        round_for_solution(*given_parts)


def test_an_ensemble_averages_the_first_order_error_away():
    matrix, technology = spd(6, 10.0, 0), technology_of(bits=8)
    programs = compile_ensemble(matrix, 64, "crossbar", technology, check=False, seed=1)
    exact = np.linalg.inv(matrix)
    found = np.array([np.linalg.inv(program.matrix) for program in programs]) - exact
    alone = math.sqrt(np.mean(np.sum(found**2, axis=(1, 2))))
    together = float(np.linalg.norm(found.mean(axis=0)))
    # A sum of 36 squares: its root scatters by less than a quarter.
    assert together < 1.5 * alone / 8
    # The netlists' matrices have the amplifiers' finite gain as well, which moves the error by 1e-4 of itself.
    assert mean_solution_error(programs) == pytest.approx(together / np.linalg.norm(exact), rel=1e-3)
    assert mean_solution_error(programs[:1]) == programs[0].report.solution_error
    # Negative control: programs of one seed have one error, and averaging them mends nothing.
    same = np.array([np.linalg.inv(programs[0].matrix) - exact] * 64)
    assert np.linalg.norm(same.mean(axis=0)) > 2 * together


def test_an_ensemble_is_reproducible_and_grows_by_appending():
    matrix, technology = spd(4, 10.0, 0), technology_of(bits=5)
    few, more = (compile_ensemble(matrix, m, "crossbar", technology, seed=3) for m in (2, 4))
    for one, other in zip(few, more, strict=False):
        assert one.rounding == "stochastic"
        np.testing.assert_array_equal(one.parts.coupling, other.parts.coupling)
    assert (more[2].parts.coupling != more[3].parts.coupling).any()


def test_an_ensemble_rejects_bad_counts_and_unstable_members():
    with pytest.raises(InputError, match="programs is 0"):
        compile_ensemble(np.eye(2), 0)
    with pytest.raises(InputError, match="seed is -1"):
        compile_ensemble(np.eye(2), 2, seed=-1)
    with pytest.raises(InputError, match="at least one"):
        mean_solution_error(())
    with pytest.raises(InputError, match="program 2 is of another matrix"):
        mean_solution_error((compile_matrix(np.eye(2)), compile_matrix(2 * np.eye(2))))
    with pytest.raises(UnrealisableError, match="of 64: rounded to 2 bit codes"):
        compile_ensemble(spd(6, 300.0, 0), 64, "crossbar", technology_of(bits=2))


def test_the_compiler_passes_the_rounding_on():
    assert {"rounding", "seed"} <= set(inspect.signature(compile_matrix).parameters)
    matrix, technology = spd(6, 30.0, 0), technology_of(bits=6)
    b = np.ones(6)
    for rounding in ("nearest", "solution", "stochastic"):
        program = compile_matrix(matrix, "crossbar", technology, b=b, rounding=rounding, seed=4)
        assert program.rounding == rounding
        expected = program_of(matrix, "crossbar", technology, rounding, b, 4)
        np.testing.assert_array_equal(program.parts.coupling, expected.parts.coupling)


def test_the_error_is_that_of_the_unscaled_unknowns():
    technology, d = technology_of(bits=7), np.geomspace(0.2, 1.0, 7)
    matrix, ratios = spd(7, 30.0, 2), []
    for b in (None, np.ones(7)):
        fabric = fabric_named("crossbar")
        parts, unit = fabric.place(scaled(matrix, d, d), d, technology)
        made = dataclasses.replace(lay_out(matrix, "crossbar", technology), scaling=d, conductance_unit=unit)
        close, found = (
            error(dataclasses.replace(made, parts=rounded(parts, fabric, technology, d, rounding, b)), b)
            for rounding in ("nearest", "solution")
        )
        ratios.append(found / close)
    assert ratios[0] < 0.8
    assert ratios[1] < 0.2
