"""Write the tables of `optim/codesign/knobs` into docs/knobs.md: `python -m tools.knobs_table`."""

from __future__ import annotations

from pathlib import Path

from thermograd.circuits.files import write_text
from thermograd.optim.codesign.knobs.markdown import markdown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "knobs.md"
TOP = "## The die and its converters"

if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, text[: text.index(TOP)] + markdown())
