"""The shipped amplifiers at the corners of their processes and at three temperatures, for data sheets.

    python -m tools.technologies.corners [NAME ...]       (a minute of CPU each)

writes `devicemodel/datasheet/corners/NAME.toml`, which `devicemodel.datasheet.corners.corners_of` reads. The load is that of the
preset's own record, so that tt at 27 C is the preset.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tomli_w

from thermograd.circuits.amplifiers.conditions import over_conditions
from thermograd.circuits.amplifiers.process_amplifier import process_amplifier
from thermograd.circuits.files import write_text

from .designs import DESIGNS

FOLDER = Path(__file__).resolve().parents[2] / "devicemodel" / "datasheet" / "corners"
CELSIUS, ZERO = (-40.0, 27.0, 85.0), 273.15
CORNERS = {"tt": 0.0, "ff": -3.0, "ss": 3.0}
"""Corner -> where resistors and capacitors are, in standard deviations of their die-to-die spread."""
COMMAND = "python -m tools.technologies.corners"
LEFT_OUT = ("offset", "outputs")
"""Of a measured amplifier: the netlist without mismatch has no offset, and what the preset's record says itself."""


def corner_tables(name: str) -> dict[str, Any]:
    """Plain data of the file of one process."""
    design = DESIGNS[name]
    found = over_conditions(
        process_amplifier(name),
        CORNERS,
        [celsius + ZERO for celsius in CELSIUS],
        load_resistance=design.load_resistance,
        load_capacitance=design.load_capacitance,
        common_mode="ref",
    )
    tables: dict[str, Any] = {}
    for condition, measured in found:
        opamp = measured.opamp.model_dump(exclude_defaults=True)
        figures = {f"opamp.{key}": value for key, value in opamp.items() if key not in LEFT_OUT}
        table = tables.setdefault(
            condition.corner,
            {
                "kind": "simulated",
                "source": f"examples/amplifiers/{name}.cir at corner {condition.corner}, {design.load_resistance:g} ohm and "
                f"{design.load_capacitance:g} F at each output (`{COMMAND} {name}`); resistors and capacitors of the array at "
                f"{CORNERS[condition.corner]:+g} standard deviations of their die-to-die spread",
                "resistors": CORNERS[condition.corner],
                "capacitors": CORNERS[condition.corner],
                "at": [],
            },
        )
        table["at"].append({"temperature": round(condition.temperature - ZERO, 6), "figures": figures})
    return {"technology": name, "corners": tables}


def main(names: list[str]) -> None:
    """Write the files of these processes; of all without a name."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names or list(DESIGNS):
        write_text(FOLDER / f"{name}.toml", f"# Written by `{COMMAND}`.\n" + tomli_w.dumps(corner_tables(name)))


if __name__ == "__main__":
    main(sys.argv[1:])
