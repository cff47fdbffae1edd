"""Yields and rows of the report against ngspice on the same dies, against the devices' converters, and against what first order claims."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import binom

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import Noise, OperatingPoint, Transient
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.parts import OpAmp
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.analysis.die_spread import die_spread
from thermograd.compiler.analysis.die_yield import die_yield, dies_for, made, varies
from thermograd.compiler.analysis.reading_errors import reading_errors
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.decks.monte_carlo import monte_carlo_spice
from thermograd.compiler.program_report import USUAL_DIES
from thermograd.devicemodel.host.converters import quantise

from ...systems import passive, spd

FIGURES = ("outputs", "gain", "gbw", "second_pole")
NOISY = ("noise_voltage", "noise_voltage_corner", "noise_current", "noise_current_corner")
BOARDS = {"crossbar": preset("integrated"), "crossbar_single": preset("breadboard").replace(resistors__series=None)}
FABRICS = pytest.mark.parametrize("fabric", BOARDS)


def program_of(fabric: str, condition: float, n: int = 4, b=None, **changes):
    return compile_matrix(spd(n, condition, 2), fabric, BOARDS[fabric].replace(**changes), b=b)


def amplifier(program, figures=FIGURES) -> Macromodel:
    chosen = {name: getattr(program.technology.opamp, name) for name in figures}
    return Macromodel(OpAmp(output_limit=100.0, **chosen))


def silent(netlist):
    """Without the sources of offset."""
    return netlist.with_sources({part.name: 0.0 for part in netlist if part.name.startswith("VOS")})


def runs_away(program, k: int) -> bool | None:
    """Whether ngspice sees die k grow from a small charge, beyond any that decays; None: neither growth nor decay is seen."""
    start = 1e-4 * np.random.default_rng(k).standard_normal(program.size) / program.volts_per_unit
    netlist = silent(made(program, k).netlist(x0=start, amplifier=amplifier(program)))
    slow = program.settling_time / max(1.0, describe(program, dies=0).tolerance_error)
    for long in (30, 300):
        analysis = Transient(long * slow, nodes=program.nodes, samples=41, tolerance=1e-6)
        volts = run(netlist, analysis).voltages
        size = np.linalg.norm(program.cell_volts({name.lower(): wave for name, wave in volts.items()}), axis=0)
        if size.max() > 1.0:
            return True
        if size[30:].max() < 0.1 * size[10:20].max() or size[30:].max() < 1e-5:
            return False
    return None


@FABRICS
def test_the_same_dies_grow_in_ngspice(fabric: str) -> None:
    """Die by die, where ngspice is clear."""
    program, dies = program_of(fabric, 2e3), 10
    seen = [runs_away(program, k) for k in range(dies)]
    grows = [made(program, k).grows() for k in range(dies)]
    clear = [(one, other) for one, other in zip(seen, grows, strict=True) if one is not None]
    assert len(clear) >= dies - 1
    assert all(one == other for one, other in clear)
    assert 0 < sum(grows) < dies
    stated = die_yield(program, dies=400)
    assert (
        binom.interval(0.999, dies, stated.share)[0]
        <= dies - sum(grows)
        <= binom.interval(0.999, dies, stated.share)[1]
    )
    # Negative control: that no die does, which is what the spread to first order takes for granted.
    assert stated.interval[1] < 1
    assert not all(one is False for one in seen)


@FABRICS
def test_the_share_has_its_interval(fabric: str) -> None:
    """Clopper and Pearson: at its ends the counted dies, or more extreme ones, have 2.5 %."""
    found = die_yield(program_of(fabric, 2e3), dies=100)
    low, high = found.interval
    assert found.share == found.stable / 100
    assert binom.sf(found.stable - 1, 100, low) == pytest.approx(0.025)
    assert binom.cdf(found.stable, 100, high) == pytest.approx(0.025)
    # The same dies again, and a part of them.
    assert die_yield(program_of(fabric, 2e3), dies=100) == found
    assert found.errors[:10] == die_yield(program_of(fabric, 2e3), dies=30).errors[:10]


@FABRICS
def test_first_order_is_shown_where_it_holds(fabric: str) -> None:
    """At condition 5 it is that of the dies; at 2,000, where it claims a finite rms, some dies run away and the others' rms is another."""
    good, bad = (describe(program_of(fabric, condition), dies=300) for condition in (5.0, 2e3))
    assert good.first_order_holds
    assert good.dies.parts.rms == pytest.approx(good.tolerance_error, rel=0.15)
    assert "(relative, rms over b and dies), to first order" in str(good)
    assert "none of 300 dies has a growing mode; from fewer dies than the usual 1,000" in str(good)
    assert bad.first_order_holds is False
    assert f"{bad.tolerance_error:.3g}, which does not hold: {bad.dies.growing}" in str(bad)
    assert "rms over b and dies" not in str(bad)
    assert bad.to_dict()["dies"]["share"] == bad.dies.share
    assert "errors" not in bad.to_dict()["dies"]


@FABRICS
def test_rows_over_dies_are_those_of_ngspice(fabric: str) -> None:
    """Operating points with and without the dies' offsets, of a handful of dies; first order is off by more."""
    b, dies = np.array([1.0, -0.5, 2.0, 0.3]), 5
    program = program_of(fabric, 100.0, b=b)
    size = np.linalg.norm(np.linalg.solve(program.target, b))

    def solved(one, offsets: bool) -> np.ndarray:
        netlist = one.netlist(b, amplifier=amplifier(program))
        return one.decode(run(netlist if offsets else silent(netlist), OperatingPoint()).voltages)

    exact, nominal = np.linalg.solve(program.target, b), solved(program, False)
    boards = [made(program, k) for k in range(dies)]
    parts = [np.linalg.norm(solved(one, False) - nominal) / size for one in boards]
    offsets = [np.linalg.norm(solved(one, True) - solved(one, False)) / size for one in boards]
    found, reading = die_yield(program, b, dies), reading_errors(program, b)
    assert found.stable == dies
    assert found.parts.median == pytest.approx(np.median(parts), rel=1e-4)
    bare = np.array([np.linalg.norm(solved(one, False) - exact) / size for one in boards])
    least = np.sqrt(bare**2 + np.square(offsets) + reading.noise**2 + reading.adc**2)
    np.testing.assert_allclose(np.array(found.errors)[:, :2], np.transpose([parts, offsets]), rtol=1e-4)
    assert (np.array(found.errors)[:, 2] >= least * (1 - 1e-6)).all()
    spread = die_spread(program, b)
    assert abs(found.offsets.rms / spread.offsets - 1) > 0.01


def test_single_right_hand_sides_have_a_spread_of_their_own() -> None:
    """Each against its own solution, over dies and b, here by solving for them one after the other."""
    program, dies = program_of("crossbar", 100.0), 6
    found, errors = die_yield(program, dies=dies), []
    assert found.stable == dies
    for b in np.random.default_rng(0).standard_normal((4, 32)).T:
        own = die_yield(program, b, dies)
        assert own.single is None
        errors += [parts for parts, _, _ in own.errors]
    assert found.single.median == pytest.approx(np.median(errors))
    assert found.single.high == pytest.approx(np.quantile(errors, 0.95))
    assert abs(found.single.median / found.parts.median - 1) > 0.05
    assert f"of single b {found.single}" in str(describe(program, dies=dies))


def test_offsets_are_as_large_as_tolerances() -> None:
    """At condition 100, and they have a row of the report."""
    report = describe(program_of("crossbar", 100.0), dies=40)
    assert report.dies.offsets.median > 0.5 * report.dies.parts.median
    assert f"offsets over dies  {report.dies.offsets} (likewise)" in str(report)
    still = describe(program_of("crossbar", 100.0, opamp__offset=0.0), dies=40)
    assert still.dies.offsets.high == 0
    assert "offsets over dies" not in str(still)


@FABRICS
def test_noise_is_that_of_ngspice(fabric: str) -> None:
    """`.noise` over the whole band, at each output; the resistors' own is far less."""
    program = program_of(fabric, 20.0, 2)
    netlist = program.netlist(amplifier=amplifier(program, FIGURES + NOISY))
    opamp, scale = program.technology.opamp, program.readout_scale / program.volts_per_unit
    band = (1e-7 * opamp.noise_voltage_corner, 1e3 * opamp.gbw)
    drives = [next(iter(drive)) for drive in program.fabric.drives(program.parts)]
    outputs = [pair if pair[1] != "0" else pair[0] for pair in program.readouts]
    totals = [run(netlist, Noise(*ends, *band)).total for ends in zip(outputs, drives, strict=True)]
    # Solutions of b of unit length, rms over all.
    size = np.linalg.norm(np.linalg.inv(program.target)) / math.sqrt(2)
    wanted = np.linalg.norm(scale * totals) / size
    reading = reading_errors(program)
    assert math.hypot(reading.johnson, reading.amplifiers) == pytest.approx(wanted, rel=3e-3)
    assert reading.johnson < 0.6 * wanted
    assert reading.sampler == pytest.approx(program.technology.adc.noise * np.linalg.norm(scale) / size)


@FABRICS
def test_steps_are_those_of_the_converters(fabric: str) -> None:
    """Random b of unit length, quantised by the devices' own converters; one bit more is rejected."""
    program = program_of(fabric, 10.0, dac__bits=10, adc__bits=9, adc__max_gain=1.0)
    rng, exact = np.random.default_rng(4), np.linalg.inv(program.target)
    b = rng.standard_normal((400, program.size))
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    scale = program.readout_scale / program.volts_per_unit
    asked = np.array([program.currents(one) for one in b]) / program.parts.drive_nominal
    given = quantise(asked.ravel(), program.technology.dac).reshape(asked.shape)
    reach = np.linalg.inv(program.matrix) / (program.conductance_unit * program.volts_per_unit * program.scaling)
    driven = program.parts.drive_nominal * (given - asked) @ reach.T
    volts = b @ exact.T / scale
    read = (quantise(volts.ravel(), program.technology.adc).reshape(volts.shape) - volts) * scale
    size = np.linalg.norm(exact) / math.sqrt(program.size)
    found = reading_errors(program)
    for seen, stated in ((driven, found.dac), (read, found.adc)):
        rms = math.sqrt((seen**2).sum(axis=1).mean()) / size
        assert rms == pytest.approx(stated, rel=0.1)
        assert abs(rms / (stated / 2) - 1) > 0.5


def test_an_attenuator_makes_the_dacs_steps_smaller() -> None:
    one, more = (reading_errors(program_of("crossbar", 100.0, dac__attenuations=count)) for count in (1, 4))
    assert more.dac == pytest.approx(one.dac / 8)
    assert more.adc == one.adc


def test_decks_say_where_first_order_does_not_hold() -> None:
    b = np.array([1.0, -0.5, 2.0, 0.3])
    text = monte_carlo_spice(program_of("crossbar", 2e3, b=b), b, 10)
    assert "which does not hold: in the report" in text
    assert "dies have a growing mode" in text
    assert "does not hold" not in monte_carlo_spice(program_of("crossbar", 10.0, b=b), b, 10)


def test_few_dies_do_not_refute_first_order() -> None:
    """The rms over N dies has a relative standard error of up to 1 / sqrt(2 N): a fifth and two of these are left to it, and fewer than
    30 dies judge nothing unless one of them runs away."""
    report = describe(program_of("crossbar", 5.0), dies=30)
    first, rms = report.tolerance_error, report.dies.parts.rms
    for share, holds in ((0.43, True), (-0.43, True), (0.47, False), (-0.47, False)):
        other = dataclasses.replace(report, tolerance_error=rms / (1 + share))
        assert other.first_order_holds is holds
    few = describe(program_of("crossbar", 5.0), dies=1)
    assert few.first_order_holds is None
    assert f"{first:.3g} (relative, rms over b and dies), to first order" in str(few)
    assert "none of 1 die has a growing mode" in str(few)


def test_programming_and_runs_err_on_their_dies() -> None:
    program = program_of("crossbar", 10.0, resistors__tolerance=0.0, resistors__write_noise=0.01)
    assert varies(program)
    assert die_yield(program, dies=20).parts.median > 0.01


def test_what_has_no_dies_says_so() -> None:
    network = compile_matrix(passive(4, 0.3, 1), "dual_rail", "breadboard")
    found = die_yield(network, dies=50)
    assert found.stable == 50
    assert found.offsets.high == 0
    ideal = compile_matrix(spd(3, 10.0, 1), "crossbar", "ideal")
    assert not varies(ideal)
    assert describe(ideal).dies is describe(ideal).first_order_holds is None
    assert describe(network, dies=0).dies is None
    # A die has no dies of its own.
    assert describe(made(program_of("crossbar", 10.0), 3)).dies is None
    with pytest.raises(InputError, match="b is zero"):
        die_yield(network, np.zeros(4))
    with pytest.raises(InputError, match="dies is 0; an integer of 1 or more"):
        die_yield(network, dies=0)
    calls: list[tuple[int, int]] = []
    die_yield(network, dies=3, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_larger_programs_have_fewer_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dies_for.__globals__, "DIES", USUAL_DIES)  # tests draw fewer
    numbers = [dies_for(n) for n in (1, 64, 512, 3000)]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[-1] >= 30
    # The modes of an oscillator's die take the cube of its unknowns.
    assert [dies_for(n, states=2) for n in (8, 20, 64)] == [USUAL_DIES, 250, 10]
