"""A fabric that the package does not know goes the whole way from a matrix to ngspice, from one file and one registration."""

import dataclasses

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.analysis.equations import derive_equations
from thermograd.compiler.analysis.heat import dissipation, equilibrium
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.fabrics.registry import fabric_named, fabric_names, register_fabric, registered_fabric
from thermograd.compiler.layout.extraction import extracted_netlist
from thermograd.compiler.layout.tiling import place_on_tiles
from thermograd.compiler.passes.verify import VerificationError, verify
from thermograd.compiler.program_io import load_program
from thermograd.devicemodel.systems import LowRank

from ..systems import spd
from ..toy_fabric import TransconductorRC
from .oracle import operating_point

N = 5
MATRIX = spd(N, 20.0, 0)
B = np.array([1.0, -2.0, 0.5, 0.3, -1.0])
EXACT = np.linalg.solve(MATRIX, B)
TOY = TransconductorRC.name


@pytest.fixture(autouse=True)
def toy():
    with registered_fabric(TransconductorRC()) as fabric:
        yield fabric


def test_it_is_there_for_the_length_of_a_block_only(toy):
    assert fabric_named(TOY) is toy
    assert fabric_names()[-1] == TOY
    assert TOY in fabric_names("has_device_model")
    assert TOY not in fabric_names("automatic")
    with registered_fabric(type("Other", (TransconductorRC,), {"name": "other"})()):
        assert fabric_names()[-1] == "other"
    with pytest.raises(InputError, match=r"fabric 'other' is unknown; there are: auto, rc, .*, gm_c"):
        compile_matrix(MATRIX, "other")


@pytest.mark.parametrize("name", [TOY, "crossbar", "auto", ""])
def test_a_name_that_is_taken_is_an_error(name):
    with pytest.raises(InputError, match=f"cannot be named '{name}'"):
        register_fabric(type("Same", (TransconductorRC,), {"name": name})())


@pytest.mark.parametrize("bits", [None, 10])
def test_a_compiled_program_is_proved_and_solves(bits):
    technology = preset("ideal").replace(resistors__bits=bits)
    program = compile_matrix(MATRIX, TOY, technology, b=B)
    assert verify(program) < 1e-12
    found = program.decode(operating_point(program.to_spice(B)))
    wanted = np.linalg.solve(program.matrix, B)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    off = np.linalg.norm(found - EXACT) / np.linalg.norm(EXACT)
    assert off < 1e-12 if bits is None else 1e-6 < off < 0.05


def test_automatic_choice_takes_it_only_when_it_asks_to_be_chosen(toy):
    indefinite_comparison = spd(N, 200.0, 3)
    assert compile_matrix(indefinite_comparison).fabric_name == "crossbar"
    toy.automatic = True
    assert compile_matrix(indefinite_comparison).fabric_name == "crossbar"  # it comes first
    assert fabric_names("automatic")[-1] == TOY


def test_verification_finds_a_part_that_is_off(toy, monkeypatch):
    program = compile_matrix(MATRIX, TOY)
    wrong = program.parts.transconductance.copy()
    wrong[0, 1] *= 1 + 1e-6
    with pytest.raises(VerificationError, match=r"K\[0, 1\]"):
        verify(dataclasses.replace(program, parts=dataclasses.replace(program.parts, transconductance=wrong)))
    admittance = toy.admittance
    monkeypatch.setattr(toy, "admittance", lambda *a: admittance(*a) * (1 + 1e-6))
    with pytest.raises(VerificationError, match="fabric gm_c differs from its law"):
        verify(program)


def test_ngspice_settles_at_the_solution():
    program = compile_matrix(MATRIX, TOY, "integrated", b=B)
    volts = run(program.netlist(B), OperatingPoint(nodes=program.nodes)).voltages
    np.testing.assert_allclose(program.decode(volts), np.linalg.solve(program.matrix, B), rtol=1e-6)


@pytest.mark.parametrize("dialect", ["ngspice", "ltspice", "xyce"])
@pytest.mark.parametrize("hierarchical", [False, True])
def test_its_netlist_is_written_in_every_dialect(dialect, hierarchical):
    program = compile_matrix(MATRIX, TOY)
    text = program.to_spice(B, dialect, hierarchical)
    assert text.count("G1_") == N - 1
    if dialect == "ngspice" and not hierarchical:
        np.testing.assert_allclose(program.decode(operating_point(text)), EXACT, rtol=1e-9)


def test_its_report_counts_its_parts_and_its_heat():
    program = compile_matrix(MATRIX, TOY, b=B)
    report = describe(program, B)
    assert report.parts == {"resistor": N, "capacitor": N, "amplifier": N * (N - 1)}
    assert report.error_for_b < 1e-12
    rail = program.technology.opamp.output_limit
    assert report.resistor_power == pytest.approx(program.parts.ground.sum() * rail**2)
    assert "gm_c for 5 unknowns" in str(report)


def test_it_is_saved_and_read_back(tmp_path):
    program = compile_matrix(MATRIX, TOY, "integrated", b=B)
    program.save(tmp_path / "toy")
    again = load_program(tmp_path / "toy")
    assert again.to_spice(B) == program.to_spice(B)
    assert again.fabric is program.fabric


def test_its_equations_are_derived_and_proved():
    equations = derive_equations(compile_matrix(MATRIX[:3, :3], TOY))
    assert equations.proved
    assert equations.difference < 1e-12
    assert str(equations).splitlines()[0] == "C_1 s v_1 + v_1/RG_1 + G_12 v_2 + G_13 v_3 = I_1"


def test_its_dies_differ_and_their_heat_is_known():
    technology = preset("integrated")
    nominal = compile_matrix(MATRIX, TOY, technology, b=B)
    one, other = (nominal.on(Die(technology, seed)) for seed in (1, 2))
    assert np.abs(one.matrix - other.matrix).max() > 1e-4 * np.abs(one.matrix).max()
    x = equilibrium(one, B)
    np.testing.assert_allclose(x, np.linalg.solve(one.matrix, B), rtol=1e-9)
    volts = x * one.volts_per_unit
    assert dissipation(one, x, B).total == pytest.approx(one.parts.ground @ volts**2)


def test_its_couplings_are_placed_on_tiles():
    placement = place_on_tiles(compile_matrix(MATRIX, TOY), 3)
    assert placement.couplings == N * (N - 1) // 2


def test_what_it_does_not_offer_is_an_error_that_says_who_does():
    program = compile_matrix(MATRIX, TOY)
    with pytest.raises(UnrealisableError, match="fabric gm_c has no layout"):
        extracted_netlist(program)
    with pytest.raises(InputError, match="rounding='solution' is not supported by fabric gm_c"):
        compile_matrix(MATRIX, TOY, preset("ideal").replace(resistors__bits=6), rounding="solution")
    with pytest.raises(InputError, match="fabric gm_c has no amplifiers"):
        program.netlist(amplifier=object())


def test_a_system_by_its_factors_is_multiplied_out_for_it():
    system = LowRank(torch.tensor(np.random.default_rng(0).standard_normal((2, N))), None, 0.5)
    np.testing.assert_allclose(compile_system(system, TOY).matrix, system.dense(), rtol=1e-12)
