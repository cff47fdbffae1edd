"""`thermograd characterise`: the figures of an amplifier against its law, the technology that it writes, and rejected input."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import constants

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run as simulate
from thermograd.circuits.spice.read import read_spice
from thermograd.circuits.technology.parts import OpAmp
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.cli import characterise as cli_amplifier
from thermograd.cli.hardware import read_amplifier
from thermograd.compiler.program_io import load_program
from thermograd.devicemodel.cost.prices import sources_of

from ..processes import needs_process
from .command_line import Run

TWO_STAGE = Path(__file__).parents[2] / "examples" / "amplifiers" / "two_stage.cir"
PORTS = ("--subckt", "two_stage", "--inputs", "inp,inn", "--outputs", "out")
SUPPLIES = ("--supply", "vdd=0.9", "--supply", "vss=-900m")
A = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.2], [0.0, -0.2, 1.5]])
GM, OHM, FARAD, KELVIN = 1e-3, 1e5, 1e-11, 358.15
OTA = f"""two transconductors and a load at each output, clamped; at 85 C
.temp 85
.subckt ota p n op on vdd
RQ vdd 0 1k
G1 0 op p n {GM}
G2 0 on n p {GM}
R1 op 0 {OHM}
R2 on 0 {OHM}
C1 op 0 {FARAD}
C2 on 0 {FARAD}
V1 top 0 0.4
V2 0 bottom 0.4
D1 op top dd
D2 on top dd
D3 bottom op dd
D4 bottom on dd
.model dd d(is=1e-14)
.ends
"""
OTA_PORTS = ("--subckt", "ota", "--inputs", "p,n", "--outputs", "op,on", "--supply", "vdd=1.8")


@pytest.fixture
def run(run: Run) -> Run:
    """Commands in a folder that holds `ota.cir` and `A.npy`."""
    Path("ota.cir").write_text(OTA, encoding="utf-8")
    np.save("A.npy", A)
    return run


def test_help_lists_the_command_and_gives_examples(run: Run) -> None:
    assert re.search(r"\bcharacterise\b", run("--help")[1])
    code, text, error = run("characterise", "--help")
    assert (code, error) == (0, "")
    assert "Examples" in text
    assert text.split("Examples")[1].count("thermograd characterise") == 4
    assert "thermograd compile" in text
    assert cli_amplifier.BASE in text


def test_reference_lifts_an_amplifier_off_ground(run: Run) -> None:
    """Between 0 and 1.8 V about 0.9 V it is the amplifier between -0.9 and 0.9 V."""
    text = TWO_STAGE.read_text().replace(" vdd vss\n", " vdd\n").replace("vss", "0")
    Path("single.cir").write_text(text, encoding="utf-8")
    lifted = run("characterise", "single.cir", *PORTS, "--supply", "vdd=1.8", "--reference", "900m", "--json")
    plain = run("characterise", TWO_STAGE, *PORTS, *SUPPLIES, "--json")
    assert (lifted[0], plain[0]) == (0, 0)
    one, other = (json.loads(out)["opamp"] for _, out, _ in (lifted, plain))
    for name in ("gain", "gbw", "output_limit", "power"):
        assert one[name] == pytest.approx(other[name], rel=1e-3)
    code, _, error = run("characterise", "single.cir", *PORTS, "--supply", "vdd=1.8")
    assert code == 2
    assert "is it biased as it should be" in error or "not biased" in error


@pytest.mark.parametrize("temperature", [None, 27.0])
def test_the_figures_are_those_of_the_circuits_law(run: Run, temperature: float | None) -> None:
    """A = 2 gm R / (1 + s R C), noise of 2 R at a gain of 2 gm R, the power of one resistor; 85 C by default."""
    wanted = () if temperature is None else ("--temperature", temperature)
    code, out, error = run("characterise", "ota.cir", *OTA_PORTS, *wanted, "--json")
    assert (code, error) == (0, "")
    data = json.loads(out)
    kelvin = KELVIN if temperature is None else temperature + 273.15
    noise = math.sqrt(2 * constants.k * kelvin / OHM) / GM
    assert data["temperature"] == pytest.approx(kelvin)
    assert data["opamp"]["gain"] == pytest.approx(2 * GM * OHM, rel=1e-3)
    assert data["opamp"]["gbw"] == pytest.approx(2 * GM / (2 * math.pi * FARAD), rel=1e-3)
    assert data["opamp"]["power"] == pytest.approx(1.8**2 / 1e3, rel=1e-6)
    assert data["opamp"]["noise_voltage"] == pytest.approx(noise, rel=5e-3)  # 85 C is 9 % above 27 C
    assert data["phase_margin"] == pytest.approx(90 + math.degrees(math.asin(1 / (2 * GM * OHM))), abs=0.05)
    assert data["swing"][0] == pytest.approx(-data["swing"][1], rel=1e-3)
    assert data["opamp"]["slew"] is data["opamp"]["second_pole"] is None  # JSON has no infinity
    np.testing.assert_allclose(data["gain"][0], data["opamp"]["gain"], rtol=1e-9)
    assert len(data["frequency"]) == len(data["gain"]) == len(data["phase"])
    assert len(data["noise_frequency"]) == len(data["noise_voltage"])


def test_a_load_acts_as_kirchhoff_says(run: Run) -> None:
    load = ("--load-resistance", "25k", "--load-capacitance", "30p")
    code, out, _ = run("characterise", "ota.cir", *OTA_PORTS, *load, "--json")
    assert code == 0
    data = json.loads(out)
    assert (data["load_resistance"], data["load_capacitance"]) == (25e3, pytest.approx(3e-11))
    assert data["opamp"]["gain"] == pytest.approx(2 * GM * OHM / 5, rel=1e-3)
    assert data["opamp"]["gbw"] == pytest.approx(2 * GM / (2 * math.pi * 4 * FARAD), rel=1e-3)
    assert data["opamp"]["output_resistance"] == 0.0
    code, out, _ = run("characterise", "ota.cir", *OTA_PORTS, *load)
    assert code == 0
    assert "ota at 85 °C, 25 kΩ and 30 pF at each output" in out
    assert re.search(r"output resistance +│ 100 kΩ ", out), "without the load, whatever the load is"
    assert "output_resistance" not in run("characterise", "ota.cir", *OTA_PORTS, *load, "--out", "a.toml")[2]
    assert "mean of the outputs" in out


def test_from_the_netlist_to_a_compiled_array(run: Run) -> None:
    files = ("--out", "new/amplifier.toml", "--plot", "new/amplifier.png")
    code, out, error = run("characterise", TWO_STAGE, *PORTS, *SUPPLIES, *files)
    assert code == 0, error
    assert all(f"wrote new/amplifier{suffix}" in error for suffix in (".toml", ".png"))
    assert Path("new/amplifier.png").read_bytes().startswith(b"\x89PNG")
    measured = Technology.read("new/amplifier.toml")
    base = preset(cli_amplifier.BASE)
    changed = {"opamp": measured.opamp, "name": measured.name, "source": measured.source, "prices": measured.prices}
    assert measured == base.replace(**changed)
    kept = {price.figure: price for price in measured.prices}
    assert kept["opamp.power"].kind == "simulated"
    assert all(price == kept[price.figure] for price in sources_of(base) if price.figure in set(kept) - {"opamp.power"})
    assert {"link.rate", "adc.figure_of_merit"} <= set(kept)
    assert measured.opamp != base.opamp
    assert measured.name == "integrated with two_stage"
    assert measured.source == f"{base.source}; amplifier: two_stage at 27 °C, no load, from two_stage.cir"
    opamp = measured.opamp
    assert opamp.outputs == 1
    for figure, value in (
        ("gain A0", f"{opamp.gain / 1e3:.1f} k ({20 * math.log10(opamp.gain):.1f} dB)"),
        ("gain-bandwidth product", f"{opamp.gbw / 1e6:.3g} MHz"),
        ("slew rate", f"{opamp.slew / 1e6:.3g} V/µs"),
        ("noise voltage", f"{opamp.noise_voltage * 1e9:.3g} nV/√Hz"),
        ("offset", f"-{opamp.offset * 1e6:.3g} µV"),
        ("bias current", "none found"),
        ("power", f"{opamp.power * 1e6:.3g} µW"),
    ):
        assert re.search(rf"{figure} +│ {re.escape(value)} ", out), (figure, value)
    assert re.search(r"unity-gain frequency +│ \d\d\.\d MHz", out)
    assert re.search(r"phase margin +│ \d\d\.\d°", out)
    assert re.search(r"swing, lowest +│ -\d{3} mV", out)
    code, out, error = run(
        "compile", "A.npy", "--fabric", "crossbar_single", "--technology", "new/amplifier.toml", "--out", "board"
    )
    assert code == 0, error
    assert "technology integrated with two_stage" in out
    assert load_program("board").technology == measured


def test_the_written_gain_is_that_of_the_array(run: Run) -> None:
    """The error that finite gain makes is (A^-1 D / A0) x in first order: ten times the gain, a tenth of the error."""
    code, _, error = run("characterise", "ota.cir", *OTA_PORTS, "--technology", "ideal", "--out", "measured.json")
    assert code == 0, error
    assert error.count("\n") == 3
    assert "opamp.offset_pelgrom_coefficient" in error
    assert "opamp.output_resistance" in error
    written = Technology.read("measured.json")
    assert written.name == "ideal with ota"
    assert written.opamp.outputs == 2
    written.replace(opamp__gain=10 * written.opamp.gain).write("better.toml")
    b, errors = np.array([1.0, -2.0, 0.5]), []
    np.save("b.npy", b)
    for technology in ("measured.json", "better.toml"):
        code, _, error = run(
            "compile", "A.npy", "--b", "b.npy", "--fabric", "crossbar", "--technology", technology, "--out", "board"
        )
        assert code == 0, error
        program = load_program("board")
        x = program.decode(simulate(read_spice("board.cir"), OperatingPoint()).voltages)
        errors.append(np.linalg.norm(x - np.linalg.solve(A, b)))
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.05)
    assert errors[0] > 1e-3


def test_the_folder_named_is_where_files_are_included_from(run: Run) -> None:
    text = OTA.replace(".model dd d(is=1e-14)\n", "")
    Path("split.cir").write_text(text + '.include "models.inc"\n', encoding="utf-8")
    Path("models.inc").write_text(".model dd d(is=1e-14)\n", encoding="utf-8")
    assert run("characterise", "split.cir", *OTA_PORTS, "--include", ".")[0] == 0
    code, out, error = run("characterise", "split.cir", *OTA_PORTS)
    assert (code, out) == (2, "")
    assert error.startswith("error: ")


def test_several_temperatures_are_a_row_each(run: Run) -> None:
    """Noise of resistors goes with the root of the temperature; rows and curves keep the order that was asked for."""
    code, out, error = run(
        "characterise", "ota.cir", *OTA_PORTS, "--temperature", "85,-40", "--json", "--plot", "over.png"
    )
    assert code == 0, error
    warm, cold = json.loads(out)["conditions"]
    assert [row["temperature"] for row in (warm, cold)] == pytest.approx([358.15, 233.15])
    ratio = warm["opamp"]["noise_voltage"] / cold["opamp"]["noise_voltage"]
    assert ratio == pytest.approx(math.sqrt(358.15 / 233.15), rel=2e-3)
    assert Path("over.png").read_bytes().startswith(b"\x89PNG")


@needs_process("gf180mcu")
def test_a_foundrys_own_amplifier_at_a_slow_corner_hot_on_little_supply(run: Run) -> None:
    code, out, error = run(
        "characterise", "--pdk", "gf180mcu", "--corner", "ss", "--temperature", "85", "--supply-scale", "0.9", "--json"
    )
    assert code == 0, error
    row = json.loads(out)
    assert (row["corner"], row["supply_scale"]) == ("ss", 0.9)
    assert (row["load_resistance"], row["load_capacitance"]) == (27e3, 5e-13)
    # Some 51 units of 5 uA, less by the slow corner's resistor (20 %) and by the supply: over (3.3 - 0.99) / (2.97 - 1.0).
    assert row["supply_current"] == pytest.approx(51 * 5e-6 / 1.2 / 1.17, rel=0.05)
    assert row["opamp"]["power"] == pytest.approx(0.9 * 3.3 * row["supply_current"], rel=1e-3)
    assert row["opamp"]["gain"] > 1e4
    assert row["phase_margin"] > 60
    assert row["common_mode"]["phase_margin"] > 45
    assert row["rejection"] is None


@needs_process("gf180mcu")
def test_without_a_load_a_foundrys_amplifier_has_no_operating_point_and_the_remedy_is_said(run: Run) -> None:
    ports = ("--subckt", "gf180mcu", "--inputs", "inp,inn", "--outputs", "outp,outn")
    supplies = ("--supply", "vdd=3.3", "--supply", "vss=0", "--supply", "ref=1.65", "--reference", "1.65")
    code, _, error = run("characterise", TWO_STAGE.parent / "gf180mcu.cir", *ports, *supplies)
    assert code == 1
    assert "no operating point without a load" in error
    assert "--load-resistance 27k" in error


def test_odd_names_are_kept_out_of_the_name_of_a_technology() -> None:
    board = Technology(name="x" * 60)
    found = cli_amplifier._with_amplifier(board, OpAmp(gain=1e3), "op:amp/1", "where it is from")
    assert found.name == "x" * 60 + " wit"
    assert found.source == "where it is from"
    assert cli_amplifier._with_amplifier(Technology(), OpAmp(), "op:amp/1", "").name == "custom with op_amp_1"


BAD: dict[str, tuple[tuple[object, ...], str]] = {
    "no file": (("none.cir", *PORTS, *SUPPLIES), r"'none\.cir' cannot be read"),
    "no such subckt": (
        (TWO_STAGE, "--subckt", "opamp", *PORTS[2:], *SUPPLIES),
        r"no sub-circuit 'opamp' .*; there are: two_stage",
    ),
    "unknown input": (
        (TWO_STAGE, *PORTS[:2], "--inputs", "inp,inm", "--outputs", "out", *SUPPLIES),
        "--inputs names 'inm', which is not a port of sub-circuit two_stage; its ports are inp, inn, out, vdd, vss",
    ),
    "unknown output": ((TWO_STAGE, *PORTS[:4], "--outputs", "first", *SUPPLIES), "--outputs names 'first'"),
    "unknown supply": ((TWO_STAGE, *PORTS, *SUPPLIES, "--supply", "vcm=0"), "--supply names 'vcm'"),
    "a port left out": (
        (TWO_STAGE, *PORTS, *SUPPLIES[:2]),
        "port vss of sub-circuit two_stage is neither input nor output; give its voltage: --supply vss=VOLTS",
    ),
    "two ports left out": ((TWO_STAGE, *PORTS), "vdd, vss .*--supply vdd=VOLTS --supply vss=VOLTS"),
    "one input": ((TWO_STAGE, *PORTS[:2], "--inputs", "inp", *PORTS[4:], *SUPPLIES), "'inp' is not a pair: .*inp,inn"),
    "three inputs": ((TWO_STAGE, *PORTS[:2], "--inputs", "inp,inn,out", *PORTS[4:], *SUPPLIES), "is not a pair"),
    "an empty name": ((TWO_STAGE, *PORTS[:2], "--inputs", "inp,", *PORTS[4:], *SUPPLIES), "a name is empty"),
    "three outputs": ((TWO_STAGE, *PORTS[:4], "--outputs", "out,vdd,vss"), "names 3 ports: .*one output, or two"),
    "a port twice": ((TWO_STAGE, *PORTS[:2], "--inputs", "inp,inp", *PORTS[4:], *SUPPLIES), "port inp is named twice"),
    "a supply twice": ((TWO_STAGE, *PORTS, *SUPPLIES, "--supply", "vss=0"), "--supply vss is given twice"),
    "no voltage": ((TWO_STAGE, *PORTS, "--supply", "vdd"), "'vdd' is not PORT=VOLTS, such as --supply vdd=0.9"),
    "not a voltage": ((TWO_STAGE, *PORTS, "--supply", "vdd=high"), "--supply vdd: 'high' is not a number"),
    "swapped inputs": ((TWO_STAGE, *PORTS[:2], "--inputs", "inn,inp", *PORTS[4:], *SUPPLIES), "inputs are swapped"),
    "not a load": ((TWO_STAGE, *PORTS, *SUPPLIES, "--load-resistance", "heavy"), "--load-resistance: 'heavy' is not"),
    "no load": ((TWO_STAGE, *PORTS, *SUPPLIES, "--load-resistance", "0"), "a resistance > 0"),
    "negative load": ((TWO_STAGE, *PORTS, *SUPPLIES, "--load-capacitance", "-1p"), "a capacitance >= 0"),
    "temperature": ((TWO_STAGE, *PORTS, *SUPPLIES, "--temperature", "-300"), "temperature = -26.8"),
    "several for one technology": (
        (TWO_STAGE, *PORTS, *SUPPLIES, "--temperature", "-40,27", "--out", "a.toml"),
        "--out writes one amplifier",
    ),
    "a corner of no process": ((TWO_STAGE, *PORTS, *SUPPLIES, "--corner", "ss"), "no part of a foundry's process"),
    "another process": (
        (TWO_STAGE, *PORTS, *SUPPLIES, "--pdk", "tsmc"),
        "'tsmc' is unknown; there are: gf180mcu, sky130",
    ),
    "one output's mean": ((TWO_STAGE, *PORTS, *SUPPLIES, "--common-mode", "vdd"), "common-mode port 'vdd'"),
    "technology without out": ((TWO_STAGE, *PORTS, *SUPPLIES, "--technology", "ideal"), "the file to write with --out"),
    "unknown technology": (
        (TWO_STAGE, *PORTS, *SUPPLIES, "--technology", "magic", "--out", "a.toml"),
        "'magic' is neither a preset",
    ),
    "suffix": ((TWO_STAGE, *PORTS, *SUPPLIES, "--out", "a.cir"), r"suffix '\.cir'; use \.toml or \.json"),
    "picture suffix": ((TWO_STAGE, *PORTS, *SUPPLIES, "--plot", "a.gif"), r"'\.gif'; use \.png or \.svg"),
    "no subckt option": ((TWO_STAGE, "--inputs", "inp,inn"), "a NETLIST needs --subckt NAME, --outputs OUT,"),
    "nothing": ((), "give a NETLIST with --subckt, --inputs and --outputs, or --pdk gf180mcu"),
    "an unknown process": (("--pdk", "tsmc"), "'tsmc' is unknown; there are: gf180mcu, sky130"),
    "ports of no netlist": (("--pdk", "sky130", "--reference", "0.9"), "--reference: of a NETLIST, which is missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it_and_the_remedy(run: Run, case: str) -> None:
    arguments, message = BAD[case]
    before = sorted(Path().iterdir())
    code, out, error = run("characterise", *arguments)
    assert (code, out) == (2, ""), error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert sorted(Path().iterdir()) == before, "nothing is written when the input is bad"


ENDS = ["inp", "inn", "out", "vdd", "vss"]


@given(
    roles=st.permutations(list("iioss")),
    port=st.sampled_from([*ENDS, "ghost"]),
    role=st.sampled_from([*"ios", "", "is"]),
)
@settings(max_examples=150)
def test_ports_are_taken_exactly_when_each_has_one_place(roles: list[str], port: str, role: str) -> None:
    """Two inputs, one output and two supplies in any order, but for one port, which may be missing, twice or unknown."""
    places = dict(zip(ENDS, roles, strict=True)) | {port: role}
    inputs, outputs, supplies = ([name for name, of in places.items() if kind in of] for kind in "ios")
    right = len(inputs) == 2 and len(outputs) in (1, 2) and sorted([*inputs, *outputs, *supplies]) == sorted(ENDS)
    try:
        found = read_amplifier(
            TWO_STAGE, "two_stage", ",".join(inputs), " , ".join(outputs), [f"{name}=1k" for name in supplies], None
        )
    except InputError:
        assert not right
        return
    assert right
    assert (list(found.inputs), list(found.outputs)) == (inputs, outputs)
    assert dict(found.supplies) == dict.fromkeys(supplies, 1e3)


PARTS = ["R1 out 0 1k", "G1 0 out inp inn 1m", "RS vdd vss 1k", "C1 out 0 1p"]
OTHERS = st.lists(
    st.one_of(
        st.sampled_from([".ends", ".end", ".subckt two_stage a b", "X1 inp inn out vdd vss two_stage", ".temp 1e9"]),
        st.text(max_size=20).map(lambda text: f"* {text}"),
        st.text(max_size=40),
    ),
    max_size=2,
)


@given(lines=OTHERS.flatmap(lambda others: st.permutations([*PARTS, *others])))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_netlist_is_read_as_an_amplifier_or_rejected(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "any.cir"
    text = "\n".join(["title", ".subckt two_stage inp inn out vdd vss", *lines, ".ends"])
    path.write_text(text, encoding="utf-8", errors="ignore")
    try:
        found = read_amplifier(path, "two_stage", "inp,inn", "out", ["vdd=1", "vss=-1"], None)
    except InputError:  # anything else is a failure
        assert len(lines) > len(PARTS)
        return
    assert set(ENDS) <= set(found.parts.nodes)
