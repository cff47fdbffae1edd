"""`thermograd lab` on the tables of examples/laboratory: files, figures, exit codes and messages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ..command_line import Run, assert_rejected

BENCH = Path(__file__).parents[3] / "examples" / "laboratory"
BOARD, SPECTRA, STEP, LATER = (str(BENCH / name) for name in ("board.cir", "spectra.csv", "step.csv", "step_later.csv"))
TRUE = {"R1": 4.71e3, "R2": 4.66e3, "R3": 7.05e3, "C1": 23.1e-9, "C2": 21.2e-9}
FAST = ("--circuit", BOARD, "--starts", "0")


def test_a_board_is_fitted_reported_and_checked_against_later_data(run: Run) -> None:
    code, out, error = run("lab", STEP, *FAST, "--prior", "C1=23.1n+-1%", "--hold-out", LATER, "--json")
    assert code == 0, error
    assert "free: R1, R2, R3, C1, C2" in error
    found = json.loads(out)
    for value in found["values"]:
        assert abs(value["value"] - TRUE[value["name"]]) < 3.5 * value["std"]
    assert found["verdict"] == "ok"
    assert found["held_out"]["p_value"] > 1e-3
    page = Path("lab/report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert not re.search(r"(src|href)=\"https?:", page)  # nothing is fetched
    assert json.loads(Path("lab/report.json").read_text(encoding="utf-8"))["values"] == found["values"]
    assert {Path(name).name for name in found["files"]} <= {path.name for path in Path("lab").iterdir()}
    check = ("--circuit", BOARD, "--check", "lab/card.json")
    assert run("lab", LATER, *check)[0] == 0
    edited = [line.split(",") for line in Path(LATER).read_text(encoding="utf-8").splitlines()[1:]]
    rows = [",".join([t, n, str(1.05 * float(v)), s]) for t, n, v, s in edited[1:]]
    Path("other.csv").write_text("\n".join([",".join(edited[0]), *rows]), encoding="utf-8")
    code, out, error = run("lab", "other.csv", *check)
    assert code == 1
    assert "contradict the card" in error


def test_what_the_data_do_not_identify_is_said_and_the_card_written(run: Run) -> None:
    code, out, error = run("lab", STEP, *FAST, "--free", "r*", "--free", "C*")
    assert code == 1
    assert "verdict is unidentifiable" in error
    assert "only as" in out
    assert Path("lab/card.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "either --circuit board.cir or --program"),
        ((*FAST, "--free", "R9"), "no such part; there are V1, R1"),
        ((*FAST, "--prior", "C1=22n"), "NAME=VALUE"),
        ((*FAST, "--prior", "C1=22n+-0"), "> 0 is needed"),
        ((*FAST, "--free", "R1", "--prior", "C1=22n+-1n"), "C1 is not free; there are R1"),
        ((*FAST, "--b", "b.npy"), "belongs to a --program"),
        ((*FAST, "--errors", "scaled"), "stated or inflated"),
        ((*FAST, "--check", "none.json"), "none.json"),
    ],
)
def test_bad_requests_are_rejected(options: tuple[str, ...], message: str, run: Run) -> None:
    assert_rejected(run, ["lab", STEP, *options], message)


def test_the_shipped_tables_are_those_of_their_seed(tmp_path: Path) -> None:
    import importlib.util

    from thermograd.devicemodel import read_measurements

    specification = importlib.util.spec_from_file_location("measure", BENCH / "measure.py")
    assert specification is not None
    assert specification.loader is not None
    measure = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(measure)
    rng = np.random.default_rng(1)
    for table, path in ((measure.spectra(rng), SPECTRA), (measure.step(rng), STEP), (measure.step(rng), LATER)):
        shipped = read_measurements(path)
        for name, column in table.columns.items():
            if column.dtype.kind == "f":
                assert np.allclose(column, shipped.columns[name], rtol=1e-9, atol=0)
