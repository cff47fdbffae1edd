"""The picture of a compiled program: its schematic if it is small, else its couplings as a graph or a map.

Everything is read off the netlist that the program emits, so names, nodes and values are those of the `.cir` file. Macromodels of
amplifiers are drawn as one amplifier, with gain and bandwidth.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from ...circuits.errors import InputError
from ...circuits.files import output_path
from ...compiler.layout.tiling import Placement
from ...compiler.program import AnalogProgram
from .couplings import counted, graph_picture, map_picture
from .schematic import array_picture, network_picture, oscillator_picture
from .style import save, styled

DRAWN = 4
"""Maximum number of unknowns of a schematic."""
GRAPH = 300
"""Maximum number of unknowns of a graph; beyond, the couplings are a map."""
FORMATS = (".svg", ".png", ".pdf")


@styled
def draw_program(program: AnalogProgram, placement: Placement | None = None) -> Figure:
    """Schematic, graph or map, by the program's size.

    Up to 4 unknowns, in any fabric but a cascade: the schematic of all cells, with names, nodes and values as in the netlist. Up to 300
    the graph of couplings: orange is positive, blue negative, width the strength. Beyond, a map of |coupling|.

    Args:
        program: what `compile_matrix` returned.
        placement: tiles of the same program (`place_on_tiles`), by which a graph is coloured and a map is ordered.

    Raises:
        InputError: a placement of another number of unknowns.
    """
    if placement is not None and placement.size != program.size:
        raise InputError(
            f"placement is of {placement.size} unknowns, the program has {program.size}; place this program"
        )
    size = counted(program.size, "unknown")
    title = f"{program.fabric_name}: {program.fabric.title}\n{size}, technology {program.technology.name}"
    fabric = program.fabric
    if program.size <= DRAWN and fabric.schematic == "network":
        return network_picture(program, title)
    if program.size <= DRAWN and fabric.schematic == "array":
        return array_picture(program, title)
    if program.size <= DRAWN and fabric.schematic == "oscillators":
        return oscillator_picture(program, title)
    return graph_picture(program, placement, title) if program.size <= GRAPH else map_picture(program, placement, title)


def write_picture(program: AnalogProgram, path: str | Path, placement: Placement | None = None) -> None:
    """Write `draw_program` to a .svg, .png or .pdf file, whole or not at all; the same program gives the same file.

    Raises:
        InputError: another suffix, a folder that cannot be written into; as `draw_program`.
    """
    path = Path(path)
    output_path(path, FORMATS)
    save(draw_program(program, placement), path)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"
