"""Two slices: what the second one gains where the first one's values are known, and not where they are not; netlists, proofs and bills."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import Resistor
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.analysis.equations import derive_equations
from thermograd.compiler.analysis.heat import dissipation, equilibrium
from thermograd.compiler.analysis.sensitivity import sensitivities
from thermograd.compiler.compile import compile_matrix, compile_system, lay_out
from thermograd.compiler.layout.effect import effective_conductance, layout_admittance, layout_matrix
from thermograd.compiler.layout.extraction import extracted_netlist
from thermograd.compiler.passes.slices import choose_codes, slices_of
from thermograd.compiler.passes.verify import VerificationError, verify
from thermograd.compiler.program_io import load_program
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.devices.tile import AnalogTile

from ..systems import low_rank, spd
from .layout.layouts import ALL, at_rest, with_zeros
from .oracle import operating_point

BITS = 8
ONE = preset("integrated")
TWO = ONE.replace(resistors__slices=2)
N = 64


def wanted_of(n: int, seed: int) -> np.ndarray:
    """Signed conductances within a tenth of the largest code's end, (n, n) S, so that no cell lacks range."""
    return 0.9 / ONE.resistors.unit * np.random.default_rng(seed).uniform(-1.0, 1.0, (n, n))


def left_over(technology: Technology, die: int, knows: tuple[bool, bool]) -> float:
    """Rms of realised minus wanted entries over a step of the first slice, on a die, with what is known of either slice's cells."""
    wanted = wanted_of(N, 1)
    blank = lay_out(np.eye(N), "crossbar", technology.replace(thermal=preset("ideal").thermal))
    seen = blank.parts.with_entries([np.full((N, N), 1.0)] * technology.resistors.slices)
    fabricated = Die(blank.technology, die)
    factors = np.stack([values.mean(axis=0) for _, values, _ in seen.on_die(fabricated).by_slice()])
    given = np.stack([factor if known else np.ones((N, N)) for factor, known in zip(factors, knows, strict=False)])
    codes = choose_codes(wanted, technology.resistors, given)
    found = blank.parts.with_entries(codes).on_die(fabricated).matrix()
    step = 1.0 / (technology.resistors.unit * (2**BITS - 1))
    return float(np.sqrt(np.mean((found - wanted) ** 2))) / step


def test_with_known_cells_the_second_slice_leaves_two_to_the_bits_times_less():
    """Codes at uniform fractions leave step / sqrt(12); the second step is 2^-8 of the first one."""
    first, second = left_over(ONE, 3, (True,)), left_over(TWO, 3, (True, True))
    # A step on a cell is its factor's; the rms of n^2 uniform deviates is within some 1 % of its own.
    assert first == pytest.approx(1 / np.sqrt(12), rel=0.02)
    assert first / second == pytest.approx(2**BITS, rel=0.03)


def test_of_an_unknown_second_slice_its_own_mismatch_is_left():
    """sigma / sqrt(2) of what it holds, step / sqrt(12) in the rms, beside its rounding."""
    expected = np.hypot(0.01 / np.sqrt(2), 2.0**-BITS) / np.sqrt(12)
    assert left_over(TWO, 3, (True, False)) == pytest.approx(expected, rel=0.05)


def test_without_knowing_the_cells_it_gains_nothing():
    """Negative control: of the error's square it takes the rounding's 1 / 12 and leaves the mismatch, (sigma^2 / 2) times the values'."""
    blind, sliced = left_over(ONE, 3, (False,)), left_over(TWO, 3, (False, False))
    assert sliced == pytest.approx(np.sqrt(blind**2 - 1 / 12), rel=0.02)
    assert sliced > 0.9 * blind
    mismatch = 0.01 / np.sqrt(2) * np.sqrt(np.mean(wanted_of(N, 1) ** 2)) * ONE.resistors.unit * 255
    assert sliced == pytest.approx(mismatch, rel=0.05)


def test_codes_are_of_either_sign_within_reach_and_of_their_slice():
    resistors = TWO.resistors
    wanted = wanted_of(20, 2)
    first, second = choose_codes(wanted, resistors)
    fine = slices_of(resistors)[1]
    assert fine.unit == 256 * resistors.unit
    assert (first * second < 0).any()
    assert (first * second > 0).any()
    for values, one in ((first, resistors), (second, fine)):
        codes = np.abs(values) * one.unit * 255
        np.testing.assert_allclose(codes, np.round(codes), atol=1e-9)
        assert codes.max() <= 255
    assert np.abs(first + second - wanted).max() <= 0.5001 / (255 * fine.unit)
    # What a weak cell cannot hold is left, and not wrapped around.
    [code], [more] = choose_codes(np.array([[1.0 / resistors.unit]]), resistors, np.full((1, 1, 1), 0.9))
    assert code[0] == 1.0 / resistors.unit
    assert more[0] == 1.0 / fine.unit
    # A slice alone, and one without codes, are what they were.
    np.testing.assert_array_equal(choose_codes(wanted, ONE.resistors)[0], first)
    np.testing.assert_array_equal(choose_codes(wanted, preset("ideal").resistors)[0], wanted)


# The program


@pytest.fixture(scope="module")
def program():
    return compile_matrix(spd(4, 10.0, 3), "crossbar", TWO, b=np.ones(4))


def test_its_nominal_error_is_that_of_both_slices(program):
    ideal = {"opamp__gain": 1e9}
    errors = [
        compile_matrix(spd(4, 10.0, 3), "crossbar", one.replace(**ideal)).report.matrix_error for one in (ONE, TWO)
    ]
    assert 100 < errors[0] / errors[1] < 600
    # The leak of a gain of 2,000 is what is left of the preset's.
    assert describe(program).matrix_error < describe(compile_matrix(spd(4, 10.0, 3), "crossbar", ONE)).matrix_error


@pytest.mark.parametrize("dialect", ["ngspice", "ltspice", "xyce"])
@pytest.mark.parametrize("hierarchical", [False, True])
def test_every_dialect_has_its_resistors(program, dialect, hierarchical):
    b = np.array([1.0, -0.5, 0.2, 0.1])
    text = program.to_spice(b, dialect, hierarchical)
    found = program.decode(operating_point(text)) if dialect == "ngspice" and not hierarchical else None
    if found is not None:
        np.testing.assert_allclose(found, np.linalg.solve(program.emitted_matrix, b), rtol=1e-7)
    assert text.lower().count("\nrt1_2p ") == text.lower().count("\nr1_2p ") == 1


def test_ngspice_settles_where_both_slices_say(program):
    b = np.array([1.0, -0.5, 0.2, 0.1])
    found = program.decode(run(program.netlist(b), OperatingPoint(nodes=program.nodes)).voltages)
    np.testing.assert_allclose(found, np.linalg.solve(program.emitted_matrix, b), rtol=1e-6)
    # Negative control: the first slice alone is another matrix, by more than what is compared.
    alone = dataclasses.replace(program, parts=program.parts.with_entries([program.parts.entries(), np.zeros((4, 4))]))
    assert np.abs(np.linalg.solve(alone.emitted_matrix, b) / found - 1).max() > 1e-4


def test_it_is_proved_in_symbols():
    program = compile_matrix([[1.0, -0.613], [-0.613, 0.8]], "crossbar", TWO)
    found = derive_equations(program)
    assert found.proved
    assert {"RT_12", "R_12"} <= {str(symbol) for symbol in found.symbols}


def test_a_changed_resistor_of_the_second_slice_is_noticed(program):
    verify(program)
    values = program.parts.second.copy()
    values[:, 1, 2] *= 1.5
    with pytest.raises(VerificationError, match="K"):
        verify(dataclasses.replace(program, parts=dataclasses.replace(program.parts, second=values)))
    swapped = program.parts.second_polarity.copy()
    swapped[1, 2] *= -1
    with pytest.raises(VerificationError, match="K"):
        verify(dataclasses.replace(program, parts=dataclasses.replace(program.parts, second_polarity=swapped)))


def test_bill_codes_heat_and_sensitivities_know_it(program):
    resistors = [part for part in program.netlist() if isinstance(part, Resistor) and part.name[:2] != "RA"]
    assert sum(part.name.startswith("RT") for part in resistors) == 2 * np.count_nonzero(program.parts.second_polarity)
    assert describe(program).parts["resistor"] == len(resistors)
    assert program.parts.code_count() == 32
    b = np.ones(4)
    heat = dissipation(program, equilibrium(program, b), b)
    voltages = run(program.netlist(b), OperatingPoint(nodes=("ep1", "em1", *program.nodes))).voltages
    volts = {name.lower(): float(value) for name, value in voltages.items()}
    ends = [(part, volts[part.a], volts[part.b]) for part in resistors if part.b in ("ep1", "em1") and part.a in volts]
    expected = sum((a - c) ** 2 / part.resistance for part, a, c in ends if part.name[1] != "B")
    assert heat.coupling.sum(axis=0)[0].sum() == pytest.approx(expected, rel=1e-5)
    found = sensitivities(program)
    alone = sensitivities(
        dataclasses.replace(program, parts=program.parts.with_entries([program.parts.entries(), np.zeros((4, 4))]))
    )
    assert found.combined > alone.combined
    assert found.combined == pytest.approx(alone.combined, rel=1e-4)


def test_saved_and_loaded(program, tmp_path):
    program.save(tmp_path / "board")
    again = load_program(tmp_path / "board")
    assert again.to_spice(np.ones(4)) == program.to_spice(np.ones(4))
    assert again.parts.slices == 2


def test_what_has_one_slice_says_so():
    a = np.array([[2.0, -1.0], [-1.0, 2.0]])
    assert compile_matrix(a, "auto", TWO).fabric_name == "crossbar"
    assert "not rc: it has one slice" in compile_matrix(a, "auto", TWO).reason
    for fabric in ("rc", "dual_rail", "crossbar_single"):
        with pytest.raises(UnrealisableError, match=f"fabric {fabric} cannot be built: it has one slice; set"):
            compile_matrix(a, fabric, TWO)
    system = low_rank(np.ones((1, 30)), None, 1.0)
    with pytest.raises(
        UnrealisableError, match=r"fabric factored cannot be built: it has one slice; .*use fabric='crossbar'"
    ):
        compile_system(system, "factored", TWO)
    assert compile_system(system, "auto", TWO).fabric_name == "crossbar"
    with pytest.raises(InputError, match="arrays of factors have one slice"):
        CascadeDevice(TWO)
    with pytest.raises(InputError, match="a tile's weights have one slice"):
        AnalogTile(torch.eye(2), TWO)
    for rounding in ("solution", "stochastic"):
        with pytest.raises(InputError, match="chooses among the codes of one slice"):
            compile_matrix(a, "crossbar", TWO, rounding=rounding)
    with pytest.raises(InputError, match="slices = 2 are two programmable conductances"):
        ONE.replace(resistors__bits=None, resistors__slices=2)
    with pytest.raises(InputError, match="at least 2\\^\\(bits - 1\\) = 128 is needed"):
        TWO.replace(resistors__on_off=10.0)
    assert compile_matrix(a, "crossbar", TWO.replace(resistors__on_off=200.0)).parts.slices == 2


# Layout


def layout_of(**changes: float) -> Technology:
    return ALL.replace(resistors__bits=4, resistors__slices=2, **changes)


def test_the_law_of_the_layout_is_the_netlists_at_every_frequency():
    from .layout.test_effect import impedance

    program = lay_out(with_zeros(4, 3), "crossbar", layout_of())
    assert (program.parts.second_polarity == 0).any()
    for s in (0.0, 1 + 2j, 30j):
        found = impedance(program, s / program.tau) @ layout_admittance(program, s / program.tau)
        np.testing.assert_allclose(found, np.eye(4), atol=1e-11)
    b = np.ones(4)
    np.testing.assert_allclose(at_rest(program, b), np.linalg.solve(layout_matrix(program), b), rtol=1e-9)
    # Negative control: without the second slice's places the law is another one.
    alone = dataclasses.replace(program, parts=dataclasses.replace(program.parts, second=np.zeros((1, 0, 0))))
    assert np.abs(impedance(program, 0.0) @ layout_admittance(alone, 0.0) - np.eye(4)).max() > 1e-3


def test_open_switches_of_both_slices_leak_by_their_signs():
    """-leakage (s + t) at a crosspoint in pairs of lines of opposite voltage, and four places a slice that load the row."""
    leakage = 2e-6
    technology = preset("ideal").replace(resistors__bits=4, resistors__slices=2)
    a = with_zeros(5, 3)
    leaky, tight = (lay_out(a, "crossbar", one) for one in (technology.replace(switches__leakage=leakage), technology))
    (coupled, load), (alone, own) = effective_conductance(leaky), effective_conductance(tight)
    signs = [signs for _, _, signs in tight.parts.by_slice()]
    np.testing.assert_allclose(coupled, alone - leakage * (signs[0] + signs[1]), rtol=1e-12, atol=1e-18)
    open_places = sum((2 - np.abs(sign)).sum(axis=1) for sign in signs)
    np.testing.assert_allclose(load, own + leakage * np.diag(open_places), rtol=1e-12)


def test_every_place_of_both_slices_is_in_the_extracted_netlist():
    program = lay_out(spd(3, 5.0, 2), "crossbar", layout_of())
    names = [part.name for part in extracted_netlist(program)]
    for slice_name in ("", "T"):
        used = 2 * np.count_nonzero(program.parts.second_polarity if slice_name else program.parts.polarity)
        count = {
            kind: sum(
                name.startswith(f"{kind}{slice_name}") and name[len(kind + slice_name)].isdigit() for name in names
            )
            for kind in ("RS", "RL", "CX")
        }
        assert count == {"RS": used, "RL": 36 - used, "CX": 36}


def test_a_second_slice_drifts_as_a_die_of_its_own_parts():
    technology = TWO.replace(resistors__conductance_drift=0.05, resistors__conductance_drift_spread=0.02)
    program = lay_out(spd(6, 5.0, 1), "crossbar", technology)
    die = Die(technology, 2)
    fresh = program.on(die).parts
    aged = fresh.aged(die, lambda z: np.exp(-0.1 - 0.2 * z))
    pairs = ((aged.second, fresh.second), (aged.coupling, fresh.coupling))
    ratios = [after[before > 0] / before[before > 0] for after, before in pairs]
    assert all(np.log(ratio).std() == pytest.approx(0.2, rel=0.3) for ratio in ratios)
    assert not np.allclose(np.sort(ratios[0])[:20], np.sort(ratios[1])[:20])
