"""Monte-Carlo decks: ngspice runs them as they come, and their dies spread as the report and dies of thermograd's own say."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.technology.parts import Thermal
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.analysis.die_spread import die_spread
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.decks.monte_carlo import monte_carlo_spice

from ...circuits.ngspice_command import NGSPICE, needs_ngspice
from ...systems import spd
from ..spread import CASES, LARGEST, LEAST, program_of, spread_z

DIES = 200
MOS = Path(__file__).resolve().parents[3] / "examples" / "amplifiers" / "two_stage.cir"


def run(text: str, folder: Path, results: str = "dies.txt") -> tuple[np.ndarray, str]:
    """The solutions (dies, n) that `ngspice -b` writes into an empty folder for a deck as it comes, and what it prints."""
    (folder / "deck.mc.cir").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [NGSPICE, "-b", "deck.mc.cir"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert sorted(path.name for path in folder.iterdir()) == sorted(["deck.mc.cir", results])
    return np.loadtxt(folder / results, skiprows=1, ndmin=2)[:, 1:], done.stdout


def table(printed: str) -> np.ndarray:
    """(n, 5): unknown, nominal, mean, standard deviation and its prediction, as printed."""
    lines = re.findall(r"^\d+\t.*", printed, flags=re.MULTILINE)
    return np.array([line.split()[1:] for line in lines], dtype=float)


def figure(printed: str, name: str) -> float:
    return float(re.search(rf"^{name} = (\S+)", printed, flags=re.MULTILINE)[1])


@needs_ngspice
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_spread_is_the_reports(case: str, shared: bool, tmp_path: Path) -> None:
    """Within 4 standard errors of 200 dies; tolerances three quarters or twice as large are rejected."""
    program, b = program_of(case, shared=shared)
    found, printed = run(monte_carlo_spice(program, b, DIES, hierarchical=shared), tmp_path)
    assert found.shape == (DIES, program.size)
    predicted, report = die_spread(program, b), describe(program, b)
    assert LEAST < spread_z(found, predicted.nominal, predicted.covariance) < LARGEST
    single = found.std(axis=0) / report.die_error.deviation
    np.testing.assert_allclose(single, 1.0, atol=4.5 / math.sqrt(2 * DIES))
    less, more = (die_spread(program_of(case, scale, shared)[0], b).covariance for scale in (0.75, 2.0))
    assert spread_z(found, predicted.nominal, less) > LARGEST
    assert spread_z(found, predicted.nominal, more) < LEAST
    # What is printed is worked out from the same dies.
    relative = math.sqrt(((found - predicted.nominal) ** 2).sum(axis=1).mean()) / np.linalg.norm(predicted.nominal)
    assert figure(printed, "relative_rms_error") == pytest.approx(relative, rel=1e-6)
    assert figure(printed, "predicted_rms_error") == pytest.approx(report.die_error.relative_error)
    expected = np.stack([predicted.nominal, found.mean(axis=0), found.std(axis=0, ddof=1), predicted.deviation], axis=1)
    np.testing.assert_allclose(table(printed)[:, 0], np.arange(program.size) + 1)
    np.testing.assert_allclose(table(printed)[:, 1:], expected, rtol=1e-6, atol=1e-9)


@needs_ngspice
def test_twice_the_tolerance_is_found_out(tmp_path: Path) -> None:
    """A deck of twice the technology's tolerances does not pass for it, whoever edits the one line `tolerances`."""
    program, b = program_of("breadboard array")
    text = monte_carlo_spice(program, b, DIES).replace("alterparam tolerances=1", "alterparam tolerances=2")
    found, _ = run(text, tmp_path)
    predicted = die_spread(program, b)
    assert spread_z(found, predicted.nominal, predicted.covariance) > LARGEST
    assert LEAST < spread_z(found, predicted.nominal, 4 * predicted.covariance) < LARGEST


@needs_ngspice
def test_values_are_lognormal(tmp_path: Path) -> None:
    """One resistor driven by a current: ln x is normal about its nominal value, as in `Variation`; x itself is not."""
    sigma, dies = 0.4, 2000
    program = compile_matrix([[1.0]], "rc", preset("ideal").replace(resistors__tolerance=sigma))
    found, _ = run(monte_carlo_spice(program, [1.0], dies), tmp_path)
    logarithm = np.log(found[:, 0])
    assert abs(logarithm.mean()) < 4 * sigma / math.sqrt(dies)
    assert logarithm.std() / sigma == pytest.approx(1.0, abs=4 / math.sqrt(2 * dies))
    skewness = ((logarithm - logarithm.mean()) ** 3).mean() / logarithm.std() ** 3
    assert abs(skewness) < 4 * math.sqrt(6 / dies)
    skew_of_x = ((found - found.mean()) ** 3).mean() / found.std() ** 3
    assert skew_of_x > 10 * math.sqrt(6 / dies)


@needs_ngspice
def test_a_seed_is_the_same_dies(tmp_path: Path) -> None:
    program, b = program_of("integrated array", shared=True)
    drawn = []
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        drawn.append(run(monte_carlo_spice(program, b, 5, seed=seed, results="x.txt"), tmp_path / name, "x.txt")[0])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.any(drawn[0] == drawn[2])
    assert len(np.unique(drawn[0])) == drawn[0].size


@needs_ngspice
def test_a_macromodel_varies_by_its_offset(tmp_path: Path) -> None:
    """The amplifier with its limits in the deck: the same spread, as long as nothing saturates."""
    program, b = program_of("breadboard array")
    b = b / np.linalg.norm(b)  # which the signal level is made for
    text = monte_carlo_spice(program, b, DIES, amplifier=Macromodel(program.technology.opamp))
    found, _ = run(text, tmp_path)
    predicted = die_spread(program, b)
    assert np.all(np.abs(found.mean(axis=0) - predicted.nominal) < 4.5 * predicted.deviation / math.sqrt(DIES))
    assert LEAST < spread_z(found, predicted.nominal, predicted.covariance) < LARGEST


@needs_ngspice
def test_a_designers_transistors_are_in_every_die(tmp_path: Path) -> None:
    """Two-stage MOS amplifiers in place of the one-pole ones: the spread about their own nominal die is the predicted one."""
    amplifier = Amplifier.read_spice(MOS, "two_stage", ("inp", "inn"), ("out",), {"vdd": 0.9, "vss": -0.9})
    technology = preset("integrated").replace(
        opamp__outputs=1, opamp__output_limit=0.4, resistors__unit=1e5, thermal=Thermal()
    )
    b = np.array([1.0, -0.5, 0.25])
    program = compile_matrix(spd(3, 4.0, 1), "crossbar_single", technology, b=b)
    found, printed = run(monte_carlo_spice(program, b, DIES, hierarchical=True, amplifier=amplifier), tmp_path)
    nominal, predicted = table(printed)[:, 1], die_spread(program, b)
    # A loaded two-stage amplifier has a gain of some hundreds.
    assert np.linalg.norm(nominal - predicted.nominal) < 0.05 * np.linalg.norm(nominal)
    assert LEAST < spread_z(found, nominal, predicted.covariance) < LARGEST


@needs_ngspice
def test_a_die_without_an_operating_point_is_no_solution(tmp_path: Path) -> None:
    program, b = program_of("dual_rail")
    text = monte_carlo_spice(program, b, 3)
    (tmp_path / "d.cir").write_text(text.replace("reset\nop\n", "reset\n"), encoding="utf-8")
    done = subprocess.run(
        [NGSPICE, "-b", "d.cir"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "error: not every die has an operating point" in done.stdout
    assert not (tmp_path / "dies.txt").exists()


@pytest.mark.parametrize(
    ("dialect", "drawn", "shared", "run_by"),
    [
        ("ltspice", "exp(gauss(tolerances*r_mismatch)", "gauss(1)", [".step param run 1 40 1", ".meas op x1 param "]),
        ("xyce", "exp(agauss(0,tolerances*r_mismatch,1)", "agauss(0,1,1)", [".sampling useExpr=true", "numsamples=40"]),
    ],
)
def test_the_other_dialects_draw_by_their_own_functions(dialect: str, drawn: str, shared: str, run_by) -> None:
    """Not executed; with the deviates at zero their parts are the nominal ones."""
    program, b = program_of("breadboard array", shared=True)
    text = monte_carlo_spice(program, b, 40, dialect, hierarchical=True)
    resistors = [line for line in text.splitlines() if re.match(r"R(\d|[BIF]\d)", line)]
    assert resistors
    assert all(drawn in line for line in resistors)
    card = ".global_param" if dialect == "xyce" else ".param"
    assert [line for line in text.splitlines() if line.endswith(f"{{{shared}}}")] == [
        f"{card} r_{name}_z={{{shared}}}" for name in ("shift", "down", "across")
    ]
    assert all(card in text for card in run_by)
    assert ".control" not in text
    nominal = re.sub(r"a?gauss\((0,)?[^()]*\)", "0", text).replace(".global_param", ".param")
    kept = [line for line in nominal.splitlines() if not re.match(r"\.(step|meas|sampling)|\+ outputs", line)]
    read = {re.sub("_X.*$", "", part.name): part for part in parse_spice("\n".join([*kept, ""]))}
    for part in program.netlist(b):
        if part.name[0] == "R":
            assert read[part.name].resistance == pytest.approx(part.resistance, rel=1e-12)


def test_decks_hold_numbers_and_checked_names_only() -> None:
    program, b = program_of("rc")
    for results in ("a b", "x;shell", "../x", "", "$home", "x\n.shell"):
        with pytest.raises(InputError, match="a file's name"):
            monte_carlo_spice(program, b, 10, results=results)


def test_errors_that_teach() -> None:
    program, b = program_of("rc")
    ideal = compile_matrix(program.target, "rc", "ideal")
    capacitors = compile_matrix(program.target, "rc", preset("ideal").replace(capacitors__tolerance=0.1))
    for wrong in (1, 0, -3, 2.5, True):
        with pytest.raises(InputError, match="from 2 to"):
            monte_carlo_spice(program, b, wrong)
    for same in (ideal, capacitors):
        with pytest.raises(InputError, match=r"every die would be the same; set resistors\.tolerance, or"):
            monte_carlo_spice(same, b, 10)
    active = compile_matrix(program.target, "crossbar", "ideal")
    with pytest.raises(InputError, match=r"set resistors\.tolerance or opamp\.offset"):
        monte_carlo_spice(active, b, 10)
    with pytest.raises(UnrealisableError, match="fabric lc is not read at rest"):
        monte_carlo_spice(compile_matrix(program.target, "lc", "integrated"), b, 10)
    with pytest.raises(InputError, match="give b"):
        monte_carlo_spice(program, None, 10)
    with pytest.raises(InputError, match="dialect 'spectre' has no Monte-Carlo deck; those of ngspice"):
        monte_carlo_spice(program, b, 10, "spectre")
    with pytest.raises(InputError, match="seed = -1"):
        monte_carlo_spice(program, b, 10, seed=-1)
