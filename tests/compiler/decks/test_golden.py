"""Netlists with parameters and Monte-Carlo decks in full, as files to read: a board of two unknowns, in every dialect.

`python tests/compiler/decks/test_golden.py` writes the files anew; what changed then shows in the diff.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.decks.monte_carlo import monte_carlo_spice
from thermograd.compiler.decks.parametric import parametric_spice
from thermograd.compiler.decks.simulators import SIMULATORS

FOLDER = Path(__file__).parent / "golden"


def texts(dialect: str) -> dict[str, str]:
    """File name -> text."""
    technology = preset("breadboard").replace(resistors__die_to_die=0.01, resistors__gradient=0.02)
    program = compile_matrix([[2.0, -1.0], [-1.0, 2.0]], "crossbar_single", technology).at_scale(0.5)
    return {
        f"params_{dialect}.cir": parametric_spice(program, [1.0, 0.0], dialect),
        f"monte_carlo_{dialect}.cir": monte_carlo_spice(program, [1.0, 0.0], 20, dialect),
    }


@pytest.mark.parametrize("dialect", SIMULATORS)
def test_texts_are_those_of_the_files(dialect: str) -> None:
    for name, text in texts(dialect).items():
        assert text.splitlines() == (FOLDER / name).read_text(encoding="utf-8").splitlines(), name


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for one in SIMULATORS:
        for name, text in texts(one).items():
            (FOLDER / name).write_text(text, encoding="utf-8")
