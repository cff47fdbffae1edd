"""`thermograd lab` on the tables of examples/laboratory: files, figures, exit codes and messages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from thermograd.devicemodel.laboratory.card import LaboratoryCard, read_card

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


CURRENTS = """* two RC nodes, driven by a current each
I1 0 n1 DC 0.1m
I2 0 n2 DC -0.05m
R1 n1 0 4.7k
R2 n2 0 4.7k
R3 n1 n2 6.8k
C1 n1 0 22n IC=0
C2 n2 0 22n IC=0
.options temp=27
"""


def test_a_board_with_inputs_and_outputs_becomes_a_device(run: Run) -> None:
    conductance = np.array([[1 / 4.7e3 + 1 / 6.8e3, -1 / 6.8e3], [-1 / 6.8e3, 1 / 4.7e3 + 1 / 6.8e3]])
    settled = np.linalg.solve(conductance, [1e-4, -5e-5])
    rates, vectors = np.linalg.eigh(conductance / 22e-9)
    lines = ["time_s,node,volts,std_v"]
    for time in np.linspace(2e-5, 6e-4, 12):
        volts = settled - vectors @ (np.exp(-rates * time) * (vectors.T @ settled))
        lines += [f"{time:.12g},n{node + 1},{volts[node]:.12g},1e-4" for node in range(2)]
    Path("step.csv").write_text("\n".join(lines), encoding="utf-8")
    Path("two.cir").write_text(CURRENTS, encoding="utf-8")
    arguments = ("lab", "step.csv", "--circuit", "two.cir", "--starts", "0", "--free", "R*")
    code, _, error = run(*arguments, "--inputs", "I1=0.1m,I2=0.1m", "--outputs", "n1,n2")
    assert code == 0, error
    assert "holds a device" in error
    card = read_card("lab/card.json")
    assert isinstance(card, LaboratoryCard)
    assert card.board.kind == "fixed"
    assert run("lab", "step.csv", "--circuit", "two.cir", "--check", "lab/card.json")[0] == 0
    code, _, error = run(*arguments, "--inputs", "V9,I2", "--outputs", "n1,n2", "--out", "other")
    assert code == 2
    assert "V9" in error
    assert Path("other/card.json").exists()  # the fit is not lost


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "either --circuit board.cir or --program"),
        ((*FAST, "--free", "R9"), "no such part; there are V1, R1"),
        ((*FAST, "--prior", "C1=22n"), "NAME=VALUE"),
        ((*FAST, "--prior", "C1=22n+-0"), "> 0 is needed"),
        ((*FAST, "--free", "R1", "--prior", "C1=22n+-1n"), "C1 is not free; there are R1"),
        ((*FAST, "--inputs", "V1"), "belong together"),
        ((*FAST, "--inputs", "V1", "--outputs", "n1,n2"), "1 and --outputs 2"),
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
