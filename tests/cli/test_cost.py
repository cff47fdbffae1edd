"""`thermograd cost` and its picture: figures against the law, sweeps, programs, and rejected input."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from thermograd.circuits.spice.expressions import parse_number
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.program_io import load_program
from thermograd.devicemodel.cost.compiled import compiled_array
from thermograd.devicemodel.cost.digital_host import DigitalHost
from thermograd.devicemodel.cost.model import Scenario
from thermograd.devicemodel.cost.no_die import without_die
from thermograd.devicemodel.cost.refinement import ReadingPlan
from thermograd.devicemodel.cost.schedule import schedules
from thermograd.devicemodel.cost.step import GROUPS, PARTS
from thermograd.devicemodel.cost.sweeps import handovers, knob_values, sweep
from thermograd.optim.optimizers.readings import reading
from thermograd.report.figures.cost import COLOURS, sweep_plot

from .command_line import Run

NETWORK = ("--parameters", "100k", "--batch", 32, "--outputs", 20)
ANY_CURRENT = "does not state opamp.output_current: its amplifiers supply any current"
RATE = 640 * 200_640 * 16 / 50e-6
"""Of the link, at which programming the paper's largest network takes as long as 50 tau."""


def test_help_lists_the_command_and_gives_examples(run: Run) -> None:
    assert re.search(r"\bcost\b", run("--help")[1])
    code, text, error = run("cost", "--help")
    assert (code, error) == (0, "")
    assert text.split("Examples")[1].count("thermograd cost") == 8


def test_the_table_is_the_papers_machine_and_says_what_counts_as_free(run: Run) -> None:
    code, out, error = run("cost", *NETWORK)
    assert code == 0
    assert re.search(r"programming +│ 41\.1 ms", out)
    assert re.search(r"codes +│ 128409600", out)
    assert re.search(r"bottleneck in time +│ programming", out)
    assert re.search(r"bottleneck in energy +│ idle host", out)
    unstated, unlimited = error.splitlines()
    assert (
        unstated
        == "technology paper does not state dac.rate, adc.rate, opamp.power, opamp.supply, opamp.standby, which count as free"
    )
    assert unlimited == f"technology paper {ANY_CURRENT}"
    # 0.73 ohm at the last stage: not a silent number.
    refused = run("cost", *NETWORK, "--technology", "integrated")[2]
    assert re.fullmatch(
        r"not buildable, because an amplifier's output drives 0\.731 ohm, which takes 0\.342 A .*\n", refused
    )
    assert run("cost", *NETWORK, "--technology", "integrated", "--layout", "dual")[2] == ""


def test_each_price_is_listed_with_kind_and_source(run: Run) -> None:
    made = ("cost", *NETWORK, "--layout", "dual", "--technology", "integrated", "--prices", "--host-power", 300)
    _, out, error = run(*made)
    assert re.search(r"link\.energy\W+1\.4 pJ\W+projected", out)
    assert re.search(r"host\.idle_power\W+53 W\W+measured", out)
    assert re.search(r"total .* 1 without a source", out)
    assert error == "not sourced: host.power = 300 W has no source\n"


def test_the_row_without_a_die_and_schedules_are_those_of_the_model(run: Run) -> None:
    made = ("cost", *NETWORK, "--layout", "dual", "--technology", "integrated", "--schedules", "1,4")
    _, out, error = run(*made)
    assert re.search(r"no die: Cholesky\W+15\.1 µs\W+6\.03 mJ", out)
    assert re.search(r"overlapped\W+4\W+1\W", out)
    assert re.search(r"solution, Cholesky\W+time\W+0\.\d+\W+141 ", out)
    assert error.startswith("dual cells stand for the outputs of one batch")
    data = json.loads(run(*made, "--json")[1])
    scenario = Scenario(100_000, 32, 20, "dual", preset("integrated"))
    assert data["no_die"] == [one.to_dict() for one in without_die(scenario)]
    assert data["schedules"] == [one.to_dict() for one in schedules(scenario, (1, 4))]
    assert data["break_even"][2]["places"]["batch"] == pytest.approx(1.5 * 16 * 5.85e12 / 50e9 / 20, rel=0.02)
    assert run("cost", *NETWORK, "--schedules", "0")[2].endswith(
        "--schedules: 0 is no number of steps; give whole numbers >= 1\n"
    )


def test_json_is_the_cost_of_the_scenario(run: Run) -> None:
    code, out, error = run(
        "cost", *NETWORK, "--layout", "dual", "--technology", "integrated", "--duration", 3, "--attempts", 2,
        "--host-rate", "1T", "--host-power", 50, "--json",
    )  # fmt: skip
    assert (code, error) == (0, "")
    data = json.loads(out)
    host = DigitalHost(rate=1e12, power=50.0)
    scenario = Scenario(100_000, 32, 20, "dual", preset("integrated"), duration=3.0, host=host, attempts=2)
    wanted = scenario.cost()
    assert list(data["parts"]) == list(PARTS)
    for part in wanted.parts:
        assert data["parts"][part.name] == {"seconds": part.seconds, "joules": part.joules}
    assert data["unsourced"] == ["host.rate = 1e+12 FLOP/s has no source", "host.power = 50 W has no source"]
    assert data["array"]["cells"] == 640
    assert data["sweep"] is data["plot"] is None


def test_a_run_that_ends_too_early_is_named(run: Run) -> None:
    network = ("cost", *NETWORK, "--layout", "dual", "--technology", "integrated")
    assert "ends before the circuit has settled to 1 %" in run(*network, "--duration", 1)[2]
    for long_enough in ((), ("--duration", 1000)):
        code, _, error = run(*network, *long_enough)
        assert code == 0
        assert "ends before" not in error


def test_measured_derivatives(run: Run) -> None:
    data = json.loads(run("cost", *NETWORK, "--digital", "250m", "--json")[1])
    assert data["parts"]["derivatives"] == {"seconds": 0.25, "joules": 100.0}
    assert data["bottleneck"] == "derivatives"


def test_a_sweep_says_where_the_bottleneck_changes_and_draws_it(run: Run) -> None:
    arguments = ("cost", *NETWORK, "--duration", 50, "--sweep", "rate=1G:1000T")
    code, out, error = run(*arguments, "--plot", "new/rate.png")
    assert code == 0
    assert f"time: from programming to settling at rate = {RATE:.4g}\n" in error
    assert "energy: from idle host to derivatives at rate = " in error
    alone = run("cost", *NETWORK, "--duration", 50, "--sweep", "rate=1G:2G")[2]
    assert "energy: the bottleneck does not change\n" in alone
    assert out.count("programming") >= 3 + 3
    assert Path("new/rate.png").stat().st_size > 10_000
    data = json.loads(run(*arguments, "--json")[1])["sweep"]
    assert [change["value"] for change in data["time_handovers"]] == pytest.approx([RATE], rel=1e-6)
    # The host's waiting, 53 W for programming, transfers and the run, takes as much as its derivatives at 400 W.
    waits = 400 * (6 * 32 + 4 * 640) * 1e5 / 5.85e12 / 53
    [change] = data["energy_handovers"]
    assert (change["before"], change["after"]) == ("idle host", "derivatives")
    assert change["value"] == pytest.approx((640 * 200_640 + 200_000) * 16 / (waits - 50e-6), rel=1e-6)
    assert (data["values"][0], data["values"][-1], len(data["costs"])) == (1e9, 1e15, 7)


def test_a_sweep_into_what_does_not_settle_ends_where_it_does_not(run: Run) -> None:
    network = ("cost", "--batch", 32, "--outputs", 20, "--technology", "integrated", "--condition", 100)
    code, out, error = run(*network, "--parameters", "100k", "--sweep", "batch=1:32", "--plot", "loop.png")
    assert code == 0, error
    assert "not buildable, because the loop is unstable" in error
    assert "time: from programming to settling at batch = " in error
    assert re.search(r"32 +│ inf s", out)
    assert Path("loop.png").stat().st_size > 10_000
    data = json.loads(run(*network, "--parameters", "100k", "--json")[1])
    assert (data["seconds"], data["needed"], data["buildable"]) == (None, None, False)
    code, out, error = run(*network, "--parameters", "100k", "--sweep", "rate=1G:2G", "--plot", "none.png")
    assert (code, error.count("\n")) == (2, 1)
    assert "no array with rate from 1e+09 to 2e+09 settles: give a duration" in error


def test_a_compiled_program_has_its_own_array(run: Run) -> None:
    np.save("A.npy", np.array([[2.0, 0.5], [0.5, 1.0]]))
    assert run("compile", "A.npy", "--fabric", "crossbar", "--technology", "integrated", "--out", "board")[0] == 0
    code, out, error = run("cost", "--program", "board.json", "--duration", 10, "--digital", "1m", "--json")
    assert (code, error) == (0, "")
    data, program = json.loads(out), load_program("board")
    most, array = program.report.resistor_power, compiled_array(program)
    wanted = array.to_dict()
    assert data["array"].pop("area") == wanted.pop("area")
    assert data["array"] == pytest.approx(wanted)
    assert (array.cells, array.codes, array.amplifiers, array.tau) == (2, 4, 2, program.tau)
    assert array.heat == array.most_heat == most
    assert data["parts"]["settling"]["seconds"] == pytest.approx(10 * program.tau)
    watts = 2 * program.technology.opamp.power + most + array.drive_loss
    assert data["parts"]["settling"]["joules"] == pytest.approx(watts * 10 * program.tau)
    assert data["parts"]["derivatives"] == pytest.approx({"seconds": 1e-3, "joules": 0.4})
    assert data["needed"] == pytest.approx(array.settling())
    assert (data["run"], data["buildable"], data["obstacles"]) == (pytest.approx(10 * program.tau), True, [])
    assert "crossbar: 2 unknowns, settled to 1 %" in run("cost", "--program", "board.json")[1]
    np.save("b.npy", np.array([1.0, -0.3]))
    data = json.loads(run("cost", "--program", "board.json", "--b", "b.npy", "--accuracy", 0.1, "--json")[1])
    exact = compiled_array(program, [1.0, -0.3], accuracy=0.1)
    wanted = exact.to_dict()
    assert data["array"].pop("area") == wanted.pop("area")
    assert data["array"] == pytest.approx(wanted)
    assert exact.heat < most / 2
    assert data["parts"]["settling"]["seconds"] == pytest.approx(exact.settling(0.1))


BAD: dict[str, tuple[tuple[object, ...], str]] = {
    "nothing": ((), "give --parameters, --batch and --outputs, or --program FILE"),
    "two times": ((*NETWORK, "--digital", 1, "--host-rate", "1T"), "--digital takes the place of --host-rate"),
    "half a network": (("--parameters", 5, "--batch", 2), "give --parameters, --batch and --outputs"),
    "not whole": (("--parameters", "1.5", "--batch", 1, "--outputs", 1), r"--parameters is 1\.5: give a whole number"),
    "infinite": (("--parameters", "1e400", "--batch", 1, "--outputs", 1), "--parameters"),
    "not a number": (("--parameters", "many", "--batch", 1, "--outputs", 1), "--parameters: 'many'"),
    "no batch": (("--parameters", 5, "--batch", 0, "--outputs", 1), "--batch is 0: give a whole number >= 1"),
    "mega host": ((*NETWORK, "--host-rate", "500M"), r"--host-rate is '500M'.*write meg for 1e6, or m for 1e-3"),
    "mega sweep": ((*NETWORK, "--sweep", "rate=100M:50G"), r"--sweep rate is '100M'.*write meg for 1e6"),
    "mega parameters": (("--parameters", "1M", "--batch", 1, "--outputs", 1), r"--parameters is '1M'.*write meg for 1e6"),
    "mega with a unit": ((*NETWORK, "--host-rate", "5Mflop"), "write meg for 1e6"),
    "peta": ((*NETWORK, "--sweep", "rate=1G:1P"), "write 1000T for 1e15, or p for 1e-12"),
    "milli parameters": (("--parameters", "1m", "--batch", 1, "--outputs", 1), "--parameters is 1m: give a whole number"),
    "half a batch": (("--parameters", 5, "--batch", "2.5", "--outputs", 1), r"--batch is 2\.5: give a whole number"),
    "bits of a knob": ((*NETWORK, "--sweep", "bits=1:200"), r"--sweep bits, bound 200: technology field dac\.bits.* 200"),
    "layout": ((*NETWORK, "--layout", "round"), "layout 'round' is unknown; there are: factored, dense, dual"),
    "technology": ((*NETWORK, "--technology", "magic"), "'magic' is neither a preset"),
    "analog time": ((*NETWORK, "--duration", "-1"), r"duration is -1\.0"),
    "host": ((*NETWORK, "--host-rate", "0"), "rate of the host is 0"),
    "accuracy": ((*NETWORK, "--accuracy", "2"), r"accuracy is 2\.0: give a relative one between 0 and 1"),
    "condition": ((*NETWORK, "--condition", "0.1"), r"condition is 0\.1: give a finite condition number"),
    "idle host": ((*NETWORK, "--host-idle-power", "-1"), r"idle power of the host is -1\.0"),
    "condition of a program": (("--program", "a.json", "--condition", 3), "--condition does not apply to --program"),
    "drive of a network": ((*NETWORK, "--b", "b.npy"), "--b is a right-hand side of --program FILE"),
    "host's power": ((*NETWORK, "--host-power", "nan"), "power of the host is nan"),
    "sweep without bounds": ((*NETWORK, "--sweep", "rate"), "--sweep 'rate' is not KNOB=LOW:HIGH"),
    "sweep of nothing": ((*NETWORK, "--sweep", "volume=1:2"), "knob 'volume' is unknown; there are: parameters"),
    "bounds swapped": ((*NETWORK, "--sweep", "rate=2:1"), "bounds of rate are 2.0 and 1.0"),
    "halves": ((*NETWORK, "--sweep", "bits=4.5:8"), r"bits is 4\.5: give a whole number"),
    "too many bits": ((*NETWORK, "--sweep", "bits=8:99"), r"dac\.bits"),
    "measured and swept": ((*NETWORK, "--digital", 1, "--sweep", "batch=1:9"), "batch cannot be varied with a measured"),
    "plot of nothing": ((*NETWORK, "--plot", "a.png"), "--plot draws a sweep: add --sweep"),
    "suffix": ((*NETWORK, "--sweep", "rate=1:9", "--plot", "a.gif"), r"'\.gif'; use \.png or \.svg"),
    "program and network": (("--program", "a.json", "--batch", 3), "--batch does not apply to --program"),
    "program and sweep": (("--program", "a.json", "--sweep", "rate=1:2"), "--sweep does not apply to --program"),
    "no program": (("--program", "none.json"), r"none\.json"),
    "a matrix": (("--program", "A.npy"), r"'A\.npy' ends in \.npy.*give the \.json that compile wrote"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(run: Run, case: str) -> None:
    arguments, message = BAD[case]
    code, out, error = run("cost", *arguments)
    assert (code, out) == (2, ""), error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert list(Path().iterdir()) == [], "nothing is written when the input is bad"


def test_whole_numbers_carry_suffixes(run: Run) -> None:
    cases = {"1meg": 1_000_000, "1MEG": 1_000_000, "2.3k": 2300, "100k": 100_000, "32": 32}
    for text, value in cases.items():
        assert (
            f"N = {value}, b = 2000, dz = 20"
            in run("cost", "--parameters", text, "--batch", "2k", "--outputs", "20")[1]
        )
    # The netlist's own meaning stays.
    assert parse_number("1M") == parse_number("1m") == 1e-3
    rates = [run("cost", *NETWORK, "--host-rate", text, "--json")[1] for text in ("500meg", "5e8")]
    assert json.loads(rates[0])["parts"] == json.loads(rates[1])["parts"]


def test_a_card_is_no_program(run: Run) -> None:
    Path("card.json").write_text('{"format": 5, "technology": {}, "fabric": "crossbar", "digest": "0"}')
    Path("other.json").write_text("[]")
    for name, words in (("card", "a device card, not a program"), ("other", "JSON of another kind, not a program")):
        code, out, error = run("cost", "--program", f"{name}.json")
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert f"--program '{name}.json' is {words}: give a .json that `thermograd compile" in error


# ----------------------------------------------------------------------------------------------------- the picture

CASES: dict[str, tuple[Scenario, str, float, float]] = {
    "rate": (Scenario(100_000, 32, 20), "rate", 1e9, 1e15),
    "converters": (Scenario(100_000, 32, 20).turned("samples", 4e4), "converters", 1, 1e5),
    "bits": (Scenario(100_000, 32, 1), "bits", 4, 20),
    "batch": (Scenario(100_000, 1, 1), "batch", 1, 1000),
}


@functools.cache
def drawn(case: str) -> Figure:
    """One picture for both tests of it, which read it only."""
    title = "factored: N = 100000, b = 32, dz = 20, 50 τ, technology integrated with an amplifier"
    return sweep_plot(*CASES[case], title)


@pytest.mark.parametrize("case", CASES)
def test_lines_and_strip_are_those_of_the_model(case: str) -> None:
    scenario, knob, low, high = CASES[case]
    values = knob_values(knob, low, high, 200)
    costs = sweep(scenario, knob, values)
    figure = drawn(case)
    for ax, energy in zip(figure.axes, (False, True), strict=True):
        lines = {
            to_hex(str(line.get_color())): np.asarray(line.get_ydata())
            for line in ax.lines[:6]
            if len(line.get_xdata()) > 2
        }  # type: ignore[arg-type]
        total = np.array([cost.joules if energy else cost.seconds for cost in costs])
        for name in set(GROUPS) - {"digital solve"}:  # that of hosts without an array
            line = np.array([cost.groups(energy)[name] for cost in costs])
            if line.max() > total.max() / 1e7:
                np.testing.assert_array_equal(lines[COLOURS[name].lower()], line)
            else:
                assert COLOURS[name].lower() not in lines
        changes = handovers(scenario, knob, low, high, energy)
        strip = [to_hex(patch.get_facecolor()[0]) for patch in ax.collections]  # type: ignore[index]
        first = costs[0].energy_bottleneck if energy else costs[0].bottleneck
        assert strip == [COLOURS[name].lower() for name in (first, *(change.after for change in changes))]
        assert len([text for text in ax.texts if text.get_text()]) == len(changes)


@pytest.mark.parametrize("case", CASES)
def test_no_text_is_on_another_or_outside(case: str) -> None:
    figure = drawn(case)
    figure.draw_without_rendering()
    found = [figure._suptitle, *(text for entry in figure.legends for text in entry.get_texts())]  # type: ignore[attr-defined]
    for ax in figure.axes:
        found += [*ax.texts, ax.xaxis.label, ax.yaxis.label]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [(text.get_text(), text.get_window_extent()) for text in found if text.get_text()]
    assert len(boxes) > 20
    for k, (text, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, text
        for other, beside in boxes[:k]:
            assert not box.overlaps(beside), (text, other)


# ------------------------------------------------------------------------------------------------------ refined readings


def test_rounds_are_compared_with_a_bare_reading(run: Run) -> None:
    arguments = (
        "cost",
        "--parameters",
        "29k",
        "--batch",
        64,
        "--outputs",
        9,
        "--layout",
        "dual",
        "--technology",
        "integrated",
    )
    code, out, error = run(*arguments, "--rounds", "4,0,1", "--json")
    assert (code, error) == (0, "")
    data = json.loads(out)
    assert [one["rounds"] for one in data["readings"]] == [None, 0, 1, 4]
    assert [one["counts"]["runs"] for one in data["readings"]] == [1, 2, 4, 10]
    assert [one["counts"]["products"] for one in data["readings"]] == [0, 1, 2, 5]
    assert [one["counts"]["conversions"] for one in data["readings"]] == [576, 1152, 2304, 5760]
    scenario = Scenario(29_000, 64, 9, "dual", preset("integrated"), reading=ReadingPlan(4))
    assert data["counts"] == scenario.cost().counts.to_dict()
    assert data["seconds"] == scenario.cost().seconds == data["readings"][-1]["seconds"]
    code, out, error = run(*arguments, "--rounds", "1")
    assert (code, error) == (0, "")
    assert re.search(r"│ residuals +│", out)
    assert re.search(r"│ bare +│ 1 +│ 576 +│ 0 ", out)
    assert re.search(r"│ 1 round +│ 4 +│ 2304 +│ 2 ", out)
    assert "bare  " not in run(*arguments)[1].split("bottleneck")[1]


def test_help_says_how_the_optimizer_refines(run: Run) -> None:
    text = " ".join(run("cost", "--help")[1].split())
    assert f"takes at most {reading.ROUNDS}, until" in text
    assert f"<= {reading.TOLERANCE:.0e} |b|".replace("e-0", "e-") in text


def test_rounds_and_host_of_a_compiled_program(run: Run) -> None:
    np.save("A.npy", np.array([[2.0, 0.5], [0.5, 1.0]]))
    assert run("compile", "A.npy", "--fabric", "crossbar", "--technology", "integrated", "--out", "board")[0] == 0
    arguments = (
        "cost",
        "--program",
        "board.json",
        "--rounds",
        "2",
        "--host-rate",
        "1G",
        "--host-bandwidth",
        "64",
        "--host-power",
        3,
    )
    code, out, error = run(*arguments, "--json")
    assert (code, error) == (0, "")
    data = json.loads(out)
    # Three products of 4 numbers and the scaling of 4, which go both ways: 3 x 32 + 64 bytes at 64 a second.
    assert data["parts"]["residuals"] == pytest.approx({"seconds": 2.5, "joules": 7.5})
    assert data["counts"]["runs"] == 6
    assert "2 rounds" in run(*arguments)[1]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--rounds", "1.5"), r"--rounds: 1\.5 is no number of rounds"),
        (("--rounds", "-1"), "--rounds: -1 is no number of rounds"),
        (("--rounds", "x"), "--rounds: 'x' is not a number"),
        (("--host-bandwidth", "0"), "bandwidth of the host is 0"),
    ],
)
def test_bad_readings_are_named(run: Run, option: tuple[str, str], message: str) -> None:
    code, out, error = run("cost", *NETWORK, *option)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert re.search(message, error), error
