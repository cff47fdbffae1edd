"""Mismatch of transistors: Pelgrom's law, what a seed means, and that a die's amplifiers are made of its transistors."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.netlist.semiconductors import DeviceModel, Mosfet
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.mismatch import Transistor, draw_mismatch, transistors_of, with_mismatch
from thermograd.circuits.technology.pdk.pelgrom import Pelgrom
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.transistor_mismatch import TransistorMismatch

LAW = Pelgrom(threshold=7e-9, beta=1e-8, width_offset=0.1e-6, length_offset=-0.15e-6)
PAIR = (
    TransistorMismatch(
        name="M1",
        threshold=2e-3,
        current_factor=5e-3,
        offset_by_threshold=1.0,
        offset_by_current_factor=0.1,
        gain_by_threshold=3.0,
        gbw_by_current_factor=0.4,
    ),
    TransistorMismatch(
        name="M2", threshold=2e-3, current_factor=5e-3, offset_by_threshold=-1.0, gain_by_current_factor=0.5
    ),
)
MADE = preset("integrated").replace(opamp__offset=0.0, opamp__transistors=PAIR)
SIZES = [Transistor("M1", 2e-3, 5e-3), Transistor("M2", 2e-3, 5e-3)]


def netlist(**size: float) -> Netlist:
    found = Netlist("pair")
    for name, kind in (("M1", "NMOS"), ("M2", "PMOS")):
        found.add(Mosfet(name, "d", "g", "s", "0", DeviceModel(kind.lower(), kind, {"level": 54}), size))
    return found


def test_a_pairs_difference_scatters_by_pelgroms_law():
    sizes = transistors_of(netlist(w=4.9e-6, l=1.15e-6, m=2.0), {"NMOS": LAW, "pmos": LAW})
    drawn = np.array([draw_mismatch(sizes, seed) for seed in range(4000)])
    found = (drawn[:, 0] - drawn[:, 1]).std(axis=0)
    # 5 um by 1 um, twice: A / sqrt(10 um^2). 4000 pairs: one standard error of a standard deviation is 1.1 %; 4 of them.
    np.testing.assert_allclose(found, np.array([7e-3, 1e-2]) / math.sqrt(10), rtol=0.045)
    # Negative control: the drawn sizes alone are told from the effective ones.
    assert abs(found[0] / (7e-3 / math.sqrt(2 * 4.9 * 1.15)) - 1) > 0.045
    assert np.abs(np.corrcoef(drawn.reshape(len(drawn), -1).T) - np.eye(4)).max() < 4.5 / math.sqrt(4000)


def test_a_seed_is_the_same_die_in_another_process():
    code = (
        "from thermograd.circuits.technology.mismatch import Transistor, draw_mismatch\n"
        "sizes = [Transistor('M1', 2e-3, 5e-3), Transistor('M2', 2e-3, 5e-3)]\n"
        "print(*(x.hex() for x in draw_mismatch(sizes, 7, 3, 'inverter_offset').ravel().tolist()))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    there = [float.fromhex(word) for word in answer.stdout.split()]
    here = draw_mismatch(SIZES, 7, 3, "inverter_offset")
    np.testing.assert_array_equal(here.ravel(), there)
    for other in ((8, 3, "inverter_offset"), (7, 4, "inverter_offset"), (7, 3, "offset")):
        assert (draw_mismatch(SIZES, *other) != here).all()


def test_a_dies_amplifiers_are_what_their_transistors_make():
    die, cells = Die(MADE, 5), np.arange(6)
    drawn = np.array([draw_mismatch(SIZES, 5, int(k)) for k in cells])
    np.testing.assert_allclose(die.transistor_deviations("offset", cells), drawn, rtol=1e-15)
    dv, db = drawn[..., 0], drawn[..., 1]
    offset = MADE.opamp.offset_mismatch * die.deviates("offset", (1, 6))[0]
    np.testing.assert_allclose(offset, dv[:, 0] + 0.1 * db[:, 0] - dv[:, 1], rtol=1e-12)
    gain, gbw = die.amplifier_ratios("offset", cells)
    np.testing.assert_allclose(gain, np.exp(3.0 * dv[:, 0] + 0.5 * db[:, 1]), rtol=1e-12)
    np.testing.assert_allclose(gbw, np.exp(0.4 * db[:, 0]), rtol=1e-12)
    assert MADE.opamp.offset_mismatch == pytest.approx(math.sqrt(2 * 2e-3**2 + 5e-4**2))
    assert not Die(MADE, None).transistor_deviations("offset", cells).any()
    assert (Die(preset("integrated"), 5).amplifier_ratios("offset", cells) == 1).all()


def test_offsets_of_unit_variance_whatever_makes_them():
    z = Die(MADE, 7).deviates("offset", (1, 20_000))[0]
    # One standard error of the mean is 0.007, of the variance 0.010; 4.5 of them each.
    assert abs(z.mean()) < 0.032
    assert abs(z.var() - 1) < 0.045
    stages = Die(MADE, 7).deviates_of("offset", np.repeat([0, 1], 10_000), np.tile(np.arange(10_000), 2))
    assert np.abs(np.corrcoef([z[:10_000], stages[:10_000], stages[10_000:]]) - np.eye(3)).max() < 4.5 / math.sqrt(
        10_000
    )


def test_a_netlist_has_the_deviations_in_addition_and_thresholds_in_magnitude():
    given = netlist(w=1e-6, l=1e-6)
    drawn = with_mismatch(
        with_mismatch(given, np.array([[0.01, 0.0], [0.0, 0.1]])), np.array([[0.02, 0.1], [0.03, 0.0]])
    )
    first, second = drawn.of(Mosfet)
    assert first.values["delvto"] == pytest.approx(0.03)
    assert first.values["mulu0"] == pytest.approx(math.exp(0.1))
    assert second.values["delvto"] == pytest.approx(-0.03)
    assert second.values["mulu0"] == pytest.approx(math.exp(0.1))
    assert "delvto=0.03" in drawn.cards()[0]
    assert with_mismatch(given, np.zeros((2, 2))).cards() == given.cards()


def test_technologies_say_it_once_and_survive_their_file(tmp_path):
    MADE.write(tmp_path / "made.toml")
    assert type(MADE).read(tmp_path / "made.toml") == MADE
    with pytest.raises(InputError, match="transistors make the offset"):
        MADE.replace(opamp__offset=1e-3)
    with pytest.raises(InputError, match="'m1' is there twice"):
        MADE.replace(opamp__transistors=(PAIR[0], PAIR[0]))
    with pytest.raises(InputError, match="transistors make an offset"):
        MADE.replace(opamp__transistors=(PAIR[0].model_copy(update={"threshold": 0.14}),))


@pytest.mark.parametrize(
    ("sizes", "laws", "message"),
    [
        ({"w": 1e-6, "l": 1e-6}, {"nmos": LAW}, "M2: its model pmos has no Pelgrom coefficients"),
        ({"w": 1e-6}, {"nmos": LAW, "pmos": LAW}, "M1: its width and length are needed"),
        ({"w": 1e-6, "l": 0.1e-6}, {"nmos": LAW, "pmos": LAW}, "M1: a transistor of 1e-06 m .* give a larger"),
    ],
)
def test_transistors_without_a_law_or_a_size_raise(sizes, laws, message):
    with pytest.raises(InputError, match=message):
        transistors_of(netlist(**sizes), laws)


def test_bad_seeds_and_deviations_raise():
    with pytest.raises(InputError, match="die seed must be"):
        draw_mismatch(SIZES, -1)
    with pytest.raises(InputError, match="a row for each of M1, M2"):
        with_mismatch(netlist(), np.zeros((1, 2)))
