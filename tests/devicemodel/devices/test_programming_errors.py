"""Errors of programmed conductances: their laws, which of them last, and one die in netlist, surrogate and batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.elements import Resistor
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.parts import PROGRAMMING_ERRORS
from thermograd.circuits.technology.presets import PRESETS, preset
from thermograd.circuits.technology.redraw import Redraw
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import lay_out
from thermograd.compiler.conductance_errors import fluctuating
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.devices.tile import AnalogTile
from thermograd.devicemodel.systems import Dense

from ...systems import passive, spd, true_card

IDEAL = preset("ideal").replace(resistors__bits=16)
FIXED, ANEW = IDEAL.replace(resistors__range_error=0.03), IDEAL.replace(resistors__write_noise=0.03)
RELATIVE, READ = IDEAL.replace(resistors__relative_write_noise=0.03), IDEAL.replace(resistors__read_noise=0.02)
ALL = IDEAL.replace(
    resistors__range_error=0.01,
    resistors__write_noise=0.02,
    resistors__relative_write_noise=0.03,
    resistors__read_noise=0.02,
    resistors__tolerance=0.01,
)
N = 24
FULL = np.sign(spd(N, 10.0, 3)) * (0.4 + 0.5 * np.abs(np.random.default_rng(1).standard_normal((N, N))).clip(max=1.0))
FULL = (FULL + FULL.T) / 2 + np.eye(N)
"""Entries so large that no draw is clipped."""
A, B = torch.tensor(spd(5, 4.0, 2)), torch.tensor([1.0, -0.5, 0.2, 0.7, -0.3], dtype=torch.float64)


def off(technology: Technology, die: int | None, writing: Redraw | None, fabric: str = "crossbar") -> np.ndarray:
    """What a program's couplings are off by on a die, over the largest conductance."""
    nominal = lay_out(FULL, fabric, technology)
    found = nominal.on(Die(technology, die), writing=writing)
    return (found.parts.coupling - nominal.parts.coupling) * technology.resistors.unit


def variance_is(values: np.ndarray, sigma: float, level: float = 1e-4) -> bool:
    """Chi-square test of the variance of independent normal values of mean zero."""
    total, m = float((values**2).sum()) / sigma**2, values.size
    return bool(chi2.ppf(level / 2, m) < total < chi2.ppf(1 - level / 2, m))


@pytest.mark.parametrize(
    ("technology", "relative"), [(FIXED, False), (ANEW, False), (RELATIVE, True)], ids=["fixed", "anew", "relative"]
)
def test_errors_have_the_stated_standard_deviation(technology: Technology, relative: bool) -> None:
    found = off(technology, 3, Redraw(0, 3, 0))
    if relative:
        found = found / (lay_out(FULL, "crossbar", technology).parts.coupling * technology.resistors.unit)
    assert variance_is(found, 0.03)
    assert not variance_is(found, 0.033), "negative control: 10 % more is rejected"
    # Independent from part to part, rails included.
    assert abs(np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1]) < 4 / N
    assert abs(np.corrcoef(found[0].ravel(), found[0].T.ravel())[0, 1]) < 4 * math.sqrt(2) / N


def test_programmings_dies_and_seeds_are_independent() -> None:
    first = off(ANEW, 3, Redraw(0, 3, 0)).ravel()
    for other in (Redraw(0, 3, 1), Redraw(1, 3, 0), Redraw(0, 4, 0), Redraw(0, 3, 0, 1)):
        assert abs(np.corrcoef(first, off(ANEW, 3, other).ravel())[0, 1]) < 4 / math.sqrt(first.size)
    np.testing.assert_array_equal(first, off(ANEW, 3, Redraw(0, 3, 0)).ravel())
    np.testing.assert_array_equal(off(FIXED, 3, Redraw(0, 3, 0)), off(FIXED, 3, Redraw(1, 3, 7)))
    # A part keeps its draw in arrays of any size.
    small = lay_out(FULL[:7, :7], "crossbar", ANEW)
    held = small.on(Die(ANEW, 3), writing=Redraw(0, 3, 0)).parts.coupling - small.parts.coupling
    whole = first.reshape(2, N, N)[:, :7, :7]
    np.testing.assert_allclose(held * ANEW.resistors.unit, whole, atol=1e-12)


def test_read_noise_is_a_share_of_the_value() -> None:
    parts = lay_out(FULL, "crossbar", READ).parts
    factor = fluctuating(parts, READ.resistors, Redraw(0, 3, 0)).coupling / parts.coupling
    assert variance_is(factor - 1, 0.02)
    assert not variance_is(factor - 1, 0.0222)
    again = fluctuating(parts, READ.resistors, Redraw(0, 3, 1)).coupling / parts.coupling
    assert abs(np.corrcoef(factor.ravel(), again.ravel())[0, 1]) < 4 / N


def test_no_conductance_is_below_zero_and_none_appears_where_none_was() -> None:
    technology = IDEAL.replace(resistors__range_error=0.3, resistors__write_noise=0.3, resistors__bits=3)
    nominal = lay_out(spd(N, 10.0, 3), "crossbar", technology)
    found = nominal.on(Die(technology, 3), writing=Redraw(0, 3, 0)).parts.coupling
    absent = nominal.parts.coupling == 0
    assert 0.1 < absent.mean() < 0.9
    assert not found[absent].any()
    assert (found >= 0).all()
    clipped = (found == 0) & ~absent
    assert 0.1 < clipped[~absent].mean() < 0.6
    # An absent resistor is none in the netlist.
    netlist = nominal.on(Die(technology, 3), writing=Redraw(0, 3, 0)).netlist(np.ones(N))
    held = [part for part in netlist.of(Resistor) if part.name[1].isdigit()]
    assert len(held) == np.count_nonzero(found)


def test_both_errors_are_clipped_once() -> None:
    """max(0, g + e + w), not max(0, max(0, g + e) + w): the write noise can lift what the fixed error takes below zero."""
    technology = IDEAL.replace(resistors__range_error=0.3, resistors__write_noise=0.3, resistors__bits=3)
    nominal, die = lay_out(spd(N, 10.0, 3), "crossbar", technology), Die(technology, 3)
    alone, both = (nominal.on(die, writing=writing).parts.coupling for writing in (None, Redraw(0, 3, 0)))
    assert ((alone == 0) & (both > 0)).any()


def test_one_part_of_a_passive_network_errs_as_one() -> None:
    program, die = lay_out(passive(6, 0.3, 1), "dual_rail", ALL), Die(ALL, 7)
    found = program.on(die, writing=Redraw(0, 7, 0)).parts
    np.testing.assert_array_equal(found.coupling, found.coupling.transpose(0, 2, 1))
    assert not np.allclose(found.coupling[0], found.coupling[1])
    assert (found.ground != program.on(die).parts.ground).all(), "resistors to ground are programmed, too"
    # The same places have the same deviates in the record of a network with one rail.
    a, errors = 8 * np.eye(6) - np.abs(passive(6, 0.3, 1)), []
    for fabric in ("dual_rail", "rc"):
        nominal = lay_out(a, fabric, ALL.replace(resistors__tolerance=0.0))
        own = Die(nominal.technology, 7)
        errors.append(nominal.on(own, writing=Redraw(0, 7, 0)).parts.coupling[0] - nominal.parts.coupling[0])
    rows, columns = np.triu_indices(6, 1)
    np.testing.assert_allclose(errors[0][rows, columns], errors[1], rtol=1e-9)


def device_of(technology: Technology, kind: type = SurrogateDevice, die: int | None = 3, seed: int = 0):
    if kind is SpiceDevice:
        return SpiceDevice(technology, die, "crossbar", johnson_noise=False, seed=seed)
    return SurrogateDevice(true_card(technology), die, seed)


def read(device, system, duration: float = math.inf) -> np.ndarray:
    return device.solve(system, B, duration, x0=torch.zeros_like(B)).x.numpy()


def test_a_fixed_error_reads_the_same_at_each_programming_and_a_redrawn_one_does_not() -> None:
    for technology, same in ((FIXED, True), (ANEW, False), (RELATIVE, False)):
        device, held = device_of(technology), Dense(A)
        first, still, anew = read(device, held), read(device, held), read(device, Dense(A))
        exact = np.linalg.solve(A.numpy(), B.numpy())
        assert np.linalg.norm(first - exact) > 0.01 * np.linalg.norm(exact)
        np.testing.assert_allclose(first, still, rtol=1e-12, err_msg="what is written stays until it is written again")
        assert np.allclose(first, anew, rtol=1e-12) is same


def test_read_noise_changes_from_run_to_run_of_one_programming() -> None:
    device, held = device_of(READ), Dense(A)
    first, still = read(device, held), read(device, held)
    assert not np.array_equal(first, still)
    assert device.programmings == 1
    # Within a run it is constant: two samples of a settled run are one and the same.
    assert device.program is device.program


def test_averages_over_programmings_lose_the_redrawn_error_alone() -> None:
    """The error of the mean of m readings over that of one, in the mean over 30 dies: 1 / sqrt(m) or 1."""
    m, dies, exact = 9, 30, np.linalg.solve(A.numpy(), B.numpy())
    for name, expected in (("range_error", 1.0), ("write_noise", 1 / math.sqrt(m))):
        technology = IDEAL.replace(**{f"resistors__{name}": 0.01})
        single, averaged = 0.0, 0.0
        for die in range(dies):
            device = device_of(technology, die=die)
            errors = np.array([read(device, Dense(A)) - exact for _ in range(m)])
            single += float((errors**2).sum(axis=1).mean())
            averaged += float((errors.mean(axis=0) ** 2).sum())
        ratio = math.sqrt(averaged / single)
        # The standard error of a ratio of rms errors, each of 5 values a die.
        assert ratio == pytest.approx(expected, rel=4 / math.sqrt(2 * 5 * dies)), name
        # Negative control: the other law.
        assert ratio != pytest.approx(1.25 - expected, rel=0.3)


def drawn(program: AnalogProgram) -> dict[str, float]:
    """Conductances of the crosspoints in a netlist, by name."""
    return {part.name: 1 / part.resistance for part in program.netlist().of(Resistor) if part.name[1].isdigit()}


def test_netlist_surrogate_and_batch_hold_the_same_draws() -> None:
    """Second programming, third run: what SPICE is given are the surrogate's values, and not those of another occasion."""
    held = []
    for kind in (SpiceDevice, SurrogateDevice):
        device = device_of(ALL, kind)
        for system, runs in ((Dense(A), 1), (Dense(A), 2)):
            for _ in range(runs):
                read(device, system)
                held.append((kind, drawn(device.program)))
    spice, surrogate = held[:3], held[3:]
    for (_, one), (_, other) in zip(spice, surrogate, strict=True):
        assert one.keys() == other.keys()
        np.testing.assert_allclose([one[name] for name in one], [other[name] for name in one], rtol=1e-12)
    names = list(spice[0][1])
    apart = [np.array([spice[k][1][name] / spice[0][1][name] for name in names]).std() for k in (1, 2)]
    assert min(apart) > 0.02


def test_a_die_reads_the_same_in_spice_surrogate_and_batch() -> None:
    system, card = Dense(A), true_card(ALL)
    spice, alone = read(device_of(ALL, SpiceDevice), system), read(device_of(ALL), system)
    stranger = read(device_of(ALL, seed=1), system)
    exact = np.linalg.solve(A.numpy(), B.numpy())
    error = float(np.linalg.norm(alone - exact))
    # What the law leaves out is of second order in the difference between the rails' parts.
    assert float(np.linalg.norm(spice - alone)) < 0.05 * error
    assert float(np.linalg.norm(spice - stranger)) > 0.2 * error, "negative control: another seed, other draws"
    batch = DieBatch(card, [9, 3]).solve(A, B, math.inf).x.numpy()
    np.testing.assert_allclose(batch[1], alone, rtol=1e-9)
    assert not np.allclose(DieBatch(card, [9, 3]).solve(A, B, math.inf, seed=1).x.numpy()[1], alone, rtol=1e-3)


@pytest.mark.parametrize(
    ("fabric", "changes"),
    [
        ("crossbar", {}),
        ("crossbar", {"resistors__slices": 2, "resistors__bits": 6}),
        ("crossbar_single", {"opamp__outputs": 1}),
        ("dual_rail", {}),
    ],
    ids=["crossbar", "two slices", "one output", "passive"],
)
def test_a_batch_of_dies_is_its_surrogates(fabric: str, changes: dict[str, int]) -> None:
    card = true_card(ALL.replace(**changes), fabric)
    system = Dense(torch.tensor(passive(5, 0.3, 1))) if fabric == "dual_rail" else Dense(A)
    alone = [SurrogateDevice(card, die, 5) for die in (2, 4)]
    batch = DieBatch(card, [2, 4])
    found = batch.solve(system, B, 6.0, seed=5).x.numpy()
    np.testing.assert_allclose(found, [read(device, system, 6.0) for device in alone], rtol=1e-9)
    # Each call is of new dies at their first programming.
    np.testing.assert_array_equal(batch.solve(system, B, 6.0, seed=5).x.numpy(), found)
    other = batch.solve(system, B, 6.0, seed=6).x.numpy()
    assert not np.allclose(other, found, rtol=1e-4)


def test_runs_of_a_programmed_batch_fluctuate_as_the_surrogates_do() -> None:
    card, system = true_card(ALL), Dense(A)
    run = DieBatch(card, [2, 4]).program(system, 6.0, 5)
    rows, starts = B.expand(3, 5), torch.zeros(3, 5, dtype=torch.float64)
    found = [one.x.numpy() for one in run([1, 0, 1], rows, starts)] + [run([1], rows[:1], starts[:1])[0].x.numpy()]
    devices = {die: SurrogateDevice(card, die, 5) for die in (2, 4)}
    alone = [read(devices[die], system, 6.0) for die in (4, 2, 4, 4)]
    np.testing.assert_allclose(found, alone, rtol=1e-9)
    assert not np.allclose(alone[0], alone[2], rtol=1e-4)


def test_gradients_flow_through_the_errors() -> None:
    card = true_card(ALL)
    mismatch = torch.tensor(0.01, dtype=torch.float64, requires_grad=True)
    batch = DieBatch(card, [2])
    x = batch.solve(A, B, math.inf, mismatch=mismatch).x.sum()
    x.backward()
    with torch.no_grad():
        up, down = (float(batch.solve(A, B, math.inf, mismatch=0.01 + h).x.sum()) for h in (1e-5, -1e-5))
    assert float(mismatch.grad) == pytest.approx((up - down) / 2e-5, rel=1e-4)


def test_beyond_the_written_out_law_the_draws_are_the_same() -> None:
    """Above 128 unknowns, where the law is a Krylov one: with settled runs its readings are those of the programmed values."""
    n = 132
    a, b = np.eye(n) + 0.01 * spd(n, 4.0, 1), torch.from_numpy(np.random.default_rng(0).standard_normal(n))
    device = SurrogateDevice(true_card(ANEW), 3, extrapolate=True)
    found = device.solve(Dense(torch.from_numpy(a)), b, math.inf).x.numpy()
    np.testing.assert_allclose(found, np.linalg.solve(device.program.matrix, b.numpy()), rtol=1e-6)
    again = device.solve(Dense(torch.from_numpy(a)), b, math.inf).x.numpy()
    assert np.linalg.norm(again - found) > 1e-3 * np.linalg.norm(found)


def test_a_resumed_device_draws_what_it_would_have_drawn() -> None:
    rng = np.random.default_rng(0)
    systems = [Dense(torch.tensor(spd(5, 4.0, k))) for k in range(4)]
    drives = [torch.tensor(rng.standard_normal(5)) for _ in systems]
    whole, first = device_of(ALL), device_of(ALL)
    expected = [whole.solve(system, b, 3.0).x for system, b in zip(systems, drives, strict=True)]
    for system, b in zip(systems[:2], drives[:2], strict=True):
        first.solve(system, b, 3.0)
    state, resumed = first.state_dict(), device_of(ALL)
    resumed.load_state_dict(state)
    found = [resumed.solve(system, b, 3.0).x for system, b in zip(systems[2:], drives[2:], strict=True)]
    for one, other in zip(found, expected[2:], strict=True):
        assert torch.equal(one, other)
    # Negative control: without the number of programmings they are others.
    other = device_of(ALL)
    other.load_state_dict({**state, "programmings": 0})
    assert not torch.equal(other.solve(systems[2], drives[2], 3.0).x, expected[2])
    with pytest.raises(InputError, match="lacks programmings"):
        other.load_state_dict({key: value for key, value in state.items() if key != "programmings"})
    with pytest.raises(InputError, match=r"programmings.*-1.*>= 0"):
        other.load_state_dict({**state, "programmings": -1})


def test_a_nominal_die_has_no_fixed_error_but_is_written_with_noise() -> None:
    assert not off(FIXED, None, Redraw(0, None, 0)).any()
    assert variance_is(off(ANEW, None, Redraw(0, None, 0)), 0.03)
    np.testing.assert_array_equal(off(ANEW, None, Redraw(0, None, 4)), off(ANEW, 0, Redraw(0, 0, 4)))


@pytest.mark.parametrize("name", PROGRAMMING_ERRORS)
def test_resistors_that_are_not_programmed_have_no_such_errors(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} = 0\.02 .* set bits, too"):
        preset("ideal").replace(**{f"resistors__{name}": 0.02})
    assert all(getattr(PRESETS[one].resistors, name) == 0 for one in PRESETS)
    technology = IDEAL.replace(**{f"resistors__{name}": 0.02})
    with pytest.raises(InputError, match=rf"{name} = 0\.02, which arrays of factors"):
        CascadeDevice(technology)
    with pytest.raises(InputError, match=rf"{name} is 0\.02, which a tile"):
        AnalogTile(torch.eye(2), technology)
