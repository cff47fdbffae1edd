"""Write the table of `compiler/effects.py` into docs/limitations.md: `python -m tools.limitations_table`."""

from __future__ import annotations

from pathlib import Path

from thermograd.circuits.files import write_text
from thermograd.compiler.limitations import markdown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "limitations.md"
TOP = "| effect |"

if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, text[: text.index(TOP)] + markdown())
