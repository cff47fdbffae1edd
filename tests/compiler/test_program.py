"""Programs: text, decoding, files, and the same circuit at other signal levels and on other dies."""

import dataclasses
import json
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.amplifiers.characterise import characterise
from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.errors import InputError
from thermograd.circuits.files import json_checksum
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import Resistor
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.analysis.heat import equilibrium
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.fabrics.array import ArrayParts
from thermograd.compiler.passes.drive_resistors import dac_share
from thermograd.compiler.program_io import load_program

from ..systems import built_for, passive, spd
from .oracle import operating_point

FABRICS = ["dual_rail", "crossbar"]
B = np.array([1.0, -2.0, 0.5, 3.0])


def program_of(fabric, technology="integrated"):
    return compile_matrix(passive(4, 0.3, 1), fabric, built_for(fabric, technology), b=B)


def header(text):
    return [line for line in text.splitlines() if line.startswith("*")]


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("technology", ["ideal", "breadboard", "integrated"])
def test_text_solved_elsewhere_decodes_to_the_solution_of_the_realised_matrix(fabric, technology):
    program = program_of(fabric, technology)
    x = program.decode(operating_point(program.to_spice(B)))
    # The netlist writes 1e8 for an infinite gain: |A^-1 D| / 1e8 is some 1e-6 here.
    np.testing.assert_allclose(x, np.linalg.solve(program.matrix, B), rtol=0, atol=1e-5 * np.abs(x).max())


@pytest.mark.parametrize("fabric", FABRICS)
def test_amplifiers_cost_the_realised_matrix_their_share(fabric):
    ideal, finite = (program_of(fabric, preset("ideal").replace(opamp__gain=g)) for g in (np.inf, 100.0))
    np.testing.assert_allclose(ideal.matrix, ideal.target, atol=1e-12)
    loads = np.abs(ideal.target).sum(axis=1) + np.abs(ideal.target).max()
    leak = np.diag(loads) / 100.0 if fabric == "crossbar" else 0.0
    np.testing.assert_allclose(finite.matrix - finite.target, leak + np.zeros((4, 4)), atol=1e-12)


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="the ngspice program is not installed")
@pytest.mark.parametrize("fabric", FABRICS)
def test_the_ngspice_program_reads_the_text(fabric, tmp_path):
    program = program_of(fabric)
    text = program.to_spice(B)
    nodes = " ".join(f"v({node})" for node in program.nodes)
    (tmp_path / "deck.cir").write_text(text.replace(".end\n", f".print op {nodes}\n.end\n"))
    run = subprocess.run(
        ["ngspice", "-b", "deck.cir"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    found = {
        words[0]: float(words[1])
        for words in map(str.split, run.stdout.splitlines())
        if len(words) == 2 and words[0] in program.nodes
    }
    # ngspice prints seven digits, and the rails' difference loses one of them.
    np.testing.assert_allclose(program.decode(found), program.decode(operating_point(text)), rtol=1e-4)


def test_the_header_tells_another_reader_how_to_decode():
    program = program_of("dual_rail")
    lines = header(program.to_spice(B))
    text = "\n".join(lines)
    assert "x_k = d_k * (V(p<k>) - V(m<k>)) / volts_per_unit" in text
    assert f"volts_per_unit = {program.volts_per_unit!r} V" in text
    assert f"tau = {program.tau:.6g} s" in text
    assert f"d_4 = {float(program.scaling[3])!r}" in text
    assert "np." not in text
    plain = "\n".join(header(program_of("crossbar").to_spice(B)))
    assert "x_k = (V(p<k>) - V(m<k>)) / volts_per_unit" in plain
    assert "d_" not in plain
    assert "driven by" in text
    assert any("no drive" in line for line in header(program.to_spice()))


def test_the_same_program_always_gives_the_same_text():
    assert program_of("crossbar").to_spice(B) == program_of("crossbar").to_spice(B)


def test_another_dialect_is_rejected():
    with pytest.raises(InputError, match="ngspice"):
        program_of("crossbar").to_spice(B, dialect="hspice")


def test_drive_and_state_of_the_wrong_length_are_rejected():
    program = program_of("crossbar")
    with pytest.raises(InputError, match="4 unknowns"):
        program.to_spice([1.0, 2.0])
    with pytest.raises(InputError, match="4 unknowns"):
        program.netlist(B, [1.0])


def test_decode_takes_waveforms_other_spellings_and_other_nodes():
    program = program_of("dual_rail")
    volts = {node: 0.1 * k for k, node in enumerate(program.nodes)}
    x = program.decode(volts)
    shouted = {f"V({node.upper()})": value for node, value in volts.items()} | {"ep1": 7.0}
    np.testing.assert_array_equal(program.decode(shouted), x)
    waves = program.decode({node: np.full(3, value) for node, value in volts.items()})
    np.testing.assert_array_equal(waves, np.repeat(x[:, None], 3, axis=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"m2": "x"}, "number"), ({"m2": [1.0, 2.0]}, "equal length"), ({"m2": 1j}, "number")],
)
def test_decode_rejects_what_is_no_voltage(change, message):
    program = program_of("dual_rail")
    with pytest.raises(InputError, match=message):
        program.decode(dict.fromkeys(program.nodes, 0.0) | change)


def test_decode_names_the_nodes_it_misses():
    program = program_of("dual_rail")
    volts = dict.fromkeys(program.nodes, 0.0)
    del volts["m3"]
    with pytest.raises(InputError, match=r"all 8 solution nodes; missing: m3"):
        program.decode(volts)


@given(level=st.floats(1e-6, 1e3))
@settings(max_examples=10)
def test_the_solution_does_not_depend_on_the_signal_level(level):
    program = compile_matrix(passive(4, 0.3, 1), "crossbar")
    x = program.at_scale(level).decode(operating_point(program.at_scale(level).to_spice(B)))
    np.testing.assert_allclose(x, np.linalg.solve(program.target, B), rtol=1e-5)


@pytest.mark.parametrize("level", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_signal_level_is_rejected(level):
    with pytest.raises(InputError, match="volts_per_unit"):
        program_of("crossbar").at_scale(level)


@pytest.mark.parametrize("fabric", FABRICS)
def test_a_die_without_mismatch_leaves_the_program_as_it_is(fabric):
    technology = preset("ideal")
    program = program_of(fabric, technology)
    same = program.on(Die(technology, 3))
    np.testing.assert_array_equal(same.matrix, program.matrix)
    np.testing.assert_array_equal(same.parts.capacitance, program.parts.capacitance)
    assert not same.parts.offset.any()


@pytest.mark.parametrize("fabric", FABRICS)
def test_a_dies_circuit_settles_where_its_matrix_says(fabric):
    technology = preset("ideal").replace(resistors__tolerance=0.01)
    program = program_of(fabric, technology).on(Die(technology, 3))
    x = program.decode(operating_point(program.to_spice(B)))
    error = np.linalg.norm(x - np.linalg.solve(program.matrix, B)) / np.linalg.norm(x)
    nominal = np.linalg.norm(x - np.linalg.solve(program.target, B)) / np.linalg.norm(x)
    # The mismatch moves x by about a percent; what its first-order law leaves is of second order.
    assert error < 0.05 * nominal


# Files


@pytest.mark.parametrize("fabric", FABRICS)
def test_a_saved_program_comes_back_whole(fabric, tmp_path):
    program = program_of(fabric)
    program.save(tmp_path / "deep" / "program")
    again = load_program(tmp_path / "deep" / "program.json")
    assert again.to_spice(B) == program.to_spice(B)
    assert again.report == program.report
    assert again.technology == program.technology
    for field in dataclasses.fields(ArrayParts):
        np.testing.assert_array_equal(getattr(again.parts, field.name), getattr(program.parts, field.name))
    assert sorted(entry.name for entry in (tmp_path / "deep").iterdir()) == ["program.json", "program.npz"]


def edit(path, **changes):
    sign(path, json.loads(path.read_text()) | changes)


def drop(path, key):
    description = json.loads(path.read_text())
    del description[key]
    sign(path, description)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def sign(path, description):
    del description["digest"]
    path.write_text(json.dumps(description | {"digest": json_checksum(description)}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.with_suffix(".npz").unlink(), "npz.*No such file"),
        (lambda p: p.with_suffix(".json").unlink(), "json.*No such file"),
        (lambda p: p.with_suffix(".npz").write_bytes(p.with_suffix(".npz").read_bytes()[:-9]), "damaged"),
        (lambda p: p.with_suffix(".npz").write_bytes(b""), "damaged"),
        (
            lambda p: (
                compile_matrix(np.eye(2)).save(p.with_name("other"))
                or p.with_name("other.npz").replace(p.with_suffix(".npz"))
            ),
            "another program",
        ),
        (lambda p: p.with_suffix(".json").write_text("{"), "not valid JSON"),
        (lambda p: p.with_suffix(".json").write_text("[1]"), "format None"),
        (lambda p: edit(p.with_suffix(".json"), thermograd_program=99), "format 99.*reads 7"),
        (lambda p: edit(p.with_suffix(".json"), fabric="rx"), "fabric 'rx'"),
        (lambda p: edit(p.with_suffix(".json"), damping="x"), "damaged"),
        (lambda p: edit(p.with_suffix(".json"), technology={"adc": {"bits": 99}}), r"adc\.bits"),
        (lambda p: edit(p.with_suffix(".json"), technology=3), "damaged"),
        (lambda p: drop(p.with_suffix(".json"), "reason"), "reason"),
        (
            lambda p: replace(p.with_suffix(".json"), '"volts_per_unit": ', '"volts_per_unit": 1'),
            "not as it was written",
        ),
        (lambda p: replace(p.with_suffix(".json"), '"digest"', '"was"'), "not as it was written"),
        (lambda p: replace(p.with_suffix(".json"), '"damping"', '"damping": 1.0, "damping"'), "'damping' stands twice"),
    ],
)
def test_a_damaged_file_is_an_input_error(tmp_path, damage, message):
    path = tmp_path / "program"
    program_of("dual_rail").save(path)
    damage(path)
    with pytest.raises(InputError, match=message):
        load_program(path)


@pytest.mark.parametrize("path", ["", "."])
def test_a_path_that_names_no_file_is_rejected(path):
    with pytest.raises(InputError, match="names no file"):
        load_program(path)


def test_the_report_counts_what_is_in_the_netlist():
    for fabric in FABRICS:
        program = program_of(fabric)
        letters = [
            line[0]
            for line in program.to_spice(B).splitlines()
            if line[0] in "RC" and not line.startswith(("RA", "CA"))
        ]
        report = program.report
        assert report.parts["resistor"] == letters.count("R")
        assert report.parts["capacitor"] == letters.count("C")
        assert sum(count for _, _, count in report.bill) == len(letters)
        json.dumps(report.to_dict())
        assert fabric in str(report)


def test_errors_of_exact_parts_are_shown_as_rounding_and_counts_in_words():
    exact = str(compile_matrix(passive(4, 0.3, 1), "dual_rail").report)
    assert "error of A^-1 b  rounding of double precision (relative); nominal parts\n" in exact
    assert "e-1" not in exact.split("error of the matrix")[1].split("\n")[0]
    coarse = compile_matrix(passive(4, 0.3, 1), "dual_rail", "integrated").report
    assert f"error of A^-1 b  {coarse.solution_error:.3g} (relative, rms over b), at most" in str(coarse)
    assert f"parts  {coarse.parts['resistor']} resistors, 8 capacitors\n" in str(coarse)
    assert "parts  1 resistor, 1 capacitor\n" in str(dataclasses.replace(coarse, parts={"resistor": 1, "capacitor": 1}))


def test_the_reports_solution_error_is_the_rms_over_random_right_hand_sides():
    program = compile_matrix(spd(6, 50.0, 2), "crossbar", "integrated")
    b = np.random.default_rng(1).standard_normal((6, 4000))
    wrong = np.linalg.solve(program.matrix, b) - np.linalg.solve(program.target, b)
    ratio = np.sqrt((wrong**2).sum() / (np.linalg.solve(program.target, b) ** 2).sum())
    # Both sums are dominated by one slow mode: 4000 draws of it, 1 / sqrt(2 * 4000) each, nearly cancelling.
    assert program.report.solution_error == pytest.approx(ratio, rel=0.05)


def test_a_program_keeps_nothing_that_is_done_to_its_netlists():
    program = program_of("crossbar")
    text = program.to_spice(B)
    for netlist in (program.netlist(), program.netlist(B)):
        netlist.add(Resistor("RX", "p1", "probe", 1.0), group="extra")
    assert program.to_spice(B) == text
    program.netlist(B).add(Resistor("RX", "p1", "Probe", 1.0))


def test_no_drive_leaves_a_level_that_is_safe():
    program = compile_matrix(np.diag([1e-9, 1.0]), "crossbar", "integrated", b=[0.0, 0.0], check=False)
    same = compile_matrix(np.diag([1e-9, 1.0]), "crossbar", "integrated", check=False)
    assert program.volts_per_unit == same.volts_per_unit < 1e-6


def test_a_die_of_other_parts_is_rejected_and_one_of_another_place_is_not():
    program = program_of("crossbar")
    with pytest.raises(InputError, match="made of other parts"):
        program.on(Die(preset("breadboard"), 1))
    program.on(Die(program.technology.replace(thermal__to_hot=1e-3), 1))


@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single", "oscillator"])
def test_the_settling_time_is_that_of_the_slowest_pole_of_the_netlist(fabric):
    technology = preset("breadboard").replace(capacitors__unit=1e-10, opamp__gbw=1e6, resistors__tolerance=0.0)
    program = compile_matrix(spd(6, 20.0, 1), fabric, built_for(fabric, technology))
    slowest = -state_space(program.netlist(), {}).eigenvalues[0].real
    # of first order in the amplifiers' time constant over tau
    assert program.settling_time == pytest.approx(1 / slowest, rel=0.1)
    assert program.settling_time > 1.15 * program.tau / np.linalg.eigvalsh(program.target)[0]


@pytest.mark.parametrize("fabric", ["rc", "dual_rail", "crossbar", "crossbar_single", "oscillator"])
def test_no_output_within_its_limit_heats_the_resistors_more_than_the_report_says(fabric):
    a = np.array([[2.0, -0.7, 0.0], [-0.7, 1.5, -0.2], [0.0, -0.2, 1.0]])
    program = compile_matrix(a, fabric)
    heats = []
    for signs in ([1, 1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, -1]):
        x = np.array(signs) * program.technology.opamp.output_limit / program.volts_per_unit * program.scaling.min()
        x /= max(1.0, dac_share(program, a @ x) or 0.0)
        netlist = program.netlist(a @ x)
        volts = run(netlist, OperatingPoint()).voltages | {"0": 0.0}
        heats.append(sum((volts[r.a] - volts[r.b]) ** 2 / r.resistance for r in netlist.of(Resistor)))
    most = describe(program, dies=0).resistor_power
    assert 0.02 * most < max(heats) <= most * (1 + 1e-6)


@pytest.mark.parametrize("fabric", ["rc", "dual_rail", "crossbar", "crossbar_single", "oscillator"])
def test_the_most_heat_of_the_report_bounds_random_systems_on_their_dies_at_their_limits(fabric):
    """100 of 1 to 4 unknowns, each driven until an output or the DAC is at its limit. Half of the range, as it was, is exceeded."""
    rng, technology = (
        np.random.default_rng(5),
        built_for(fabric, preset("breadboard")).replace(resistors__tolerance=0.05),
    )
    limit, scale = technology.opamp.output_limit, technology.dac.full_scale
    shares, halved = [], []
    for k in range(100):
        a = passive(1 + k % 4, 0.5, k)
        a = np.where(np.eye(len(a)) > 0, a, -np.abs(a)) if fabric == "rc" else a
        program = compile_matrix(a, fabric, technology, check=False).on(Die(technology, k))
        b = rng.standard_normal(len(a))
        parts = program.parts
        offsets = [name for name in ("offset", "inverter_offset", "position_offset") if name in vars(parts)]
        silent = dataclasses.replace(parts, **{name: 0 * getattr(parts, name) for name in offsets})
        volts = (
            equilibrium(dataclasses.replace(program, parts=silent), b) / program.readout_scale * program.volts_per_unit
        )
        currents = program.currents(b)
        drives = np.abs(currents).max() / parts.drive_nominal if parts.drive_nominal else 0.0
        level = min(limit / np.abs(volts).max(), scale / drives if drives else np.inf)
        if fabric == "crossbar_single":  # an inverter's output is a little larger than its input
            level *= 0.8
        heat = silent.dissipation(level * volts, level * currents, technology.opamp.gain).total
        shares.append(heat / parts.dissipation_bound(limit, scale))
        halved.append(heat / parts.dissipation_bound(limit / 2, scale))
    assert 0.5 < max(shares) <= 1 + 1e-9
    assert max(halved) > 1.1
    assert describe(program, dies=0).resistor_power == parts.dissipation_bound(limit, scale)


def test_what_is_no_amplifier_fabric_or_voltage_is_named_with_a_remedy():
    program = compile_matrix(spd(3, 5.0, 1), "crossbar", "integrated")
    for wrong in ("two_stage.cir", program.technology.opamp):
        with pytest.raises(
            InputError, match=rf"amplifier is a {type(wrong).__name__}: give Macromodel\(technology.opamp\)"
        ):
            program.netlist(np.ones(3), amplifier=wrong)
    with pytest.raises(InputError, match="opamp is a Technology: give an OpAmp"):
        Macromodel(program.technology)
    with pytest.raises(InputError, match="amplifier is a str"):
        characterise("two_stage.cir")
    with pytest.raises(InputError, match=r"fabric is a Technology, and its name is needed; there are: auto, rc"):
        compile_matrix(np.eye(2), program.technology)
    with pytest.raises(InputError, match=r"voltages is a list: give \{node: volts\}"):
        program.decode([1.0, 2.0, 3.0])
