"""A program's netlist with a source in series with each amplifier's input, for its offset voltage, even where that is 0 V."""

from __future__ import annotations

import itertools
from typing import Any

from ...circuits.amplifiers.models import AmplifierCell, OnePole, cell_title
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.amplifier_draw import AmplifierDraw
from ..program import AnalogProgram


def with_offset_sources(
    program: AnalogProgram, b: Any = None, amplifier: AmplifierCell | None = None
) -> tuple[Netlist, NotedCells]:
    """`AnalogProgram.netlist`, with a source `VOS...` for each amplifier, and what its amplifiers are made of.

    Args:
        program, b: as there.
        amplifier: what stands for each amplifier; None: the one-pole amplifier of the technology. Fabrics without amplifiers have none.
    """
    noted = NotedCells(amplifier or OnePole(program.technology.opamp))
    netlist = program.netlist(b, amplifier=noted if program.fabric.active or amplifier is not None else None)
    return netlist.with_sources(noted.unset_offsets, netlist.comments), noted


class NotedCells:
    """Amplifier cells that note what they add: their parts, what these are in `gain` and `gbw`, and a source for each offset.

    Attributes:
        title: of the cell whose parts they note.
        parts, offsets: names of all parts, and of the sources of offset among them.
        unset_offsets: of those whose amplifier has no offset, with the 0 V that they are to be set to.
        expressions: part's name -> its value in `gain` and `gbw`.
    """

    def __init__(self, cell: AmplifierCell) -> None:
        self.cell, self.title = cell, cell_title(cell)
        self.parts: set[str] = set()
        self.offsets: set[str] = set()
        self.unset_offsets: dict[str, float] = {}
        self.expressions: dict[str, str] = {}

    def add(
        self,
        netlist: Netlist,
        inputs: tuple[str, str],
        outputs: tuple[str, ...],
        name: str,
        offset: float = 0.0,
        state: float = 0.0,
        group: str = "",
        draw: AmplifierDraw | None = None,
    ) -> None:
        """See `AmplifierCell.add`."""
        before, known = len(netlist), {} if draw is None else {"draw": draw}
        # No amplifier has a source for an offset of 0 V: it is added for one of 1 V, and set to 0 V afterwards.
        self.cell.add(netlist, inputs, outputs, name, offset or 1.0, state, group, **known)
        self.parts.update(element.name for element in itertools.islice(netlist, before, None))
        source = f"VOS{name}"
        if source in netlist:  # transistors of a die make their offset themselves
            self.offsets.add(source)
            if not offset:
                self.unset_offsets[source] = 0.0
        if isinstance(self.cell, OnePole):
            self.expressions |= self.cell.expressions(len(outputs), name, draw)
