"""Prices of a step: each has a source or says that it has none; the total says so, too; an array that waits takes its standby power."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import PRESETS, preset
from thermograd.circuits.technology.provenance import PRICED, Price
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.cost.digital_host import DigitalHost
from thermograd.devicemodel.cost.model import Scenario, digital_cost, step_cost
from thermograd.devicemodel.cost.prices import KINDS, USES, prices_of, sources_of
from thermograd.devicemodel.cost.solver_array import SolverArray
from thermograd.devicemodel.cost.step import PARTS

INTEGRATED = preset("integrated")
ARRAY = SolverArray(cells=10, codes=55, amplifiers=20, tau=1e-7, heat=0.01)


def cost_of(technology, **options):
    return step_cost(ARRAY, technology, 2e-6, 1e-3, **options)


def test_every_price_is_of_a_part_and_every_part_but_settled_physics_has_a_price():
    assert set(PRICED) == {name for name in USES if not name.startswith("host.")}
    assert {part for _, parts in USES.values() for part in parts} == set(PARTS)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_each_price_of_a_preset_has_a_source_or_is_not_stated(name):
    """Whoever changes a figure of a preset must say where the new one is from."""
    for price in prices_of(preset(name), DigitalHost()):
        assert price.free or (price.source and price.kind in KINDS[:-1] and not price.doubt), price


@given(st.sampled_from([name for name in PRICED if name != "opamp.standby"]), st.floats(1.01, 3.0))
def test_a_figure_that_is_changed_has_no_source_until_it_is_given_one(name, factor):
    part, field = name.split(".")
    value = factor * getattr(getattr(INTEGRATED, part), field)
    changed = INTEGRATED.replace(**{f"{part}__{field}": value})
    assert any(why.startswith(f"{name} = ") and why.endswith("has no source") for why in cost_of(changed).unsourced)
    given_one = changed.replace(prices=[{"figure": name, "value": value, "kind": "measured", "source": "bench, 3 May"}])
    [price] = [one for one in cost_of(given_one).prices if one.figure == name]
    assert (price.kind, price.source, price.doubt) == ("measured", "bench, 3 May", "")


@pytest.mark.parametrize(("bits", "held"), [(6, False), (7, True), (9, True), (12, False)])
def test_energy_of_a_conversion_holds_for_the_resolutions_of_its_source(bits, held):
    found = cost_of(INTEGRATED.replace(adc__bits=bits))
    wanted = () if held else (f"adc.figure_of_merit is for 7 to 9 bits, and is used at {bits}",)
    assert found.unsourced == wanted
    assert found.caveat == ("" if held else "1 without a source")


def test_the_total_s_line_and_the_data_say_what_has_no_source():
    found = cost_of(INTEGRATED.replace(link__energy=0.0, opamp__power=1e-3))
    total = next(line for line in str(found).splitlines() if line.lstrip().startswith("total"))
    assert total.endswith("1 prices not stated, 1 without a source")
    assert found.to_dict()["unsourced"] == [
        "link.energy is not stated and counts as free",
        "opamp.power = 0.001 W has no source",
    ]
    assert sum(found.joules_by_kind().values()) == pytest.approx(found.joules, rel=1e-12)
    assert "no source" in found.joules_by_kind()
    assert not cost_of(INTEGRATED).caveat


def test_a_derived_technology_keeps_its_sources_under_a_new_name():
    bare = INTEGRATED.replace(name="my own")
    assert len([one for one in prices_of(bare, DigitalHost()) if one.doubt]) > 5
    assert not cost_of(bare.replace(prices=sources_of(INTEGRATED))).unsourced


def test_a_host_alone_has_no_prices_of_an_array():
    assert [price.figure for price in digital_cost(1e-3, 1e-4).prices] == ["host.rate", "host.power"]


@given(st.floats(0.0, 1.0), st.floats(0.0, 1e-2))
def test_an_array_that_waits_takes_its_standby_power_and_settles_at_its_own(derivatives, standby):
    technology = INTEGRATED.replace(opamp__standby=standby)
    found = step_cost(ARRAY, technology, 2e-6, derivatives)
    waits = found.seconds - 2e-6
    assert found.part("standby").joules == pytest.approx(20 * standby * waits, rel=1e-9)
    stays = step_cost(ARRAY, INTEGRATED, 2e-6, derivatives)
    assert stays.part("standby").joules == pytest.approx(20 * INTEGRATED.opamp.power * waits, rel=1e-9)
    assert found.part("settling") == stays.part("settling")
    assert found.seconds == stays.seconds


def test_prices_survive_files_and_wrong_ones_are_named(tmp_path):
    price = Price(figure="adc.figure_of_merit", value=3.05e-14, kind="simulated", source="deck.cir", bits=(6, 8))
    technology = INTEGRATED.replace(prices=(price,))
    for suffix in ("toml", "json"):
        technology.write(tmp_path / f"t.{suffix}")
        assert Technology.read(tmp_path / f"t.{suffix}") == technology
    with pytest.raises(InputError, match=r"prices: 'adc.energy' is no price; there are: link.rate, "):
        INTEGRATED.replace(prices=[{**price.model_dump(), "figure": "adc.energy"}])
    with pytest.raises(InputError, match=r"'adc\.figure_of_merit' is there twice"):
        INTEGRATED.replace(prices=(price, price))
    with pytest.raises(InputError, match="bits are 8 to 6: give the smaller one first"):
        Price(**{**price.model_dump(), "bits": (8, 6)})
    with pytest.raises(InputError, match="kind"):
        Price(**{**price.model_dump(), "kind": "guessed"})
    assert math.isfinite(Scenario(100, 4, 3, "dual", technology).cost().joules)
