"""A compiled program with its report and what else was worked out of it, as text, as data and as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..circuits.files import write_text
from .formatting import to_json

if TYPE_CHECKING:
    from ..compiler.layout.tiling import Placement
    from ..compiler.program import AnalogProgram
    from ..compiler.program_report import Report
    from ..devicemodel.limits.outlook import Outlook

SUFFIXES = (".cir", ".json", ".npz", ".report.txt", ".report.json", ".report.html", ".bom.csv")
"""Of the files that `Described.write` writes."""
REFINED = "refined readings"
AMPLIFIERS = "netlist's amplifiers"
LEFT_OUT = "not in the netlist"
LEAST_SHARE = 0.99
"""Share of stable dies below which there is a warning."""
UNITS = {"resistor": "ohm", "capacitor": "F", "inductor": "H"}


class Described(NamedTuple):
    """A program with its report, placement, equations and outlook on refined readings."""

    program: AnalogProgram
    report: Report
    placement: Placement | None
    equations: Any
    outlook: Outlook | None
    amplifier: str | None
    """What the netlist has for each amplifier, where that was chosen."""

    @property
    def not_modelled(self) -> tuple[str, ...]:
        """Names of the physical effects that the netlist leaves out."""
        from ..compiler.limitations import not_modelled

        return not_modelled("netlist", self.program.fabric, [] if self.amplifier is None else ["macromodel"])

    @property
    def text(self) -> str:
        """The report, what refined readings can solve, which amplifiers the netlist has, and what it leaves out."""
        from ..compiler.limitations import left_out

        rows = {
            REFINED: self.outlook,
            AMPLIFIERS: self.amplifier,
            LEFT_OUT: left_out(self.not_modelled, self.program.technology),
        }
        return "\n".join([str(self.report), *(f"{name:>20}  {row}" for name, row in rows.items() if row is not None)])

    @property
    def warning(self) -> str | None:
        """That too many dies have a growing mode; None: they do not, or none were drawn."""
        dies = self.report.dies
        if dies is None or dies.share >= LEAST_SHARE:
            return None
        return f"warning: {dies.growing}; more damping or tighter parts"

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data: dict[str, Any] = {"report": self.report.to_dict(), "not_modelled": list(self.not_modelled)}
        if self.placement is not None:
            data["placement"] = self.placement.to_dict()
        if self.outlook is not None:
            data["refinement"] = self.outlook.to_dict()
        if self.amplifier is not None:
            data["amplifier"] = self.amplifier
        if (derived := self.equations) is not None:
            data["equations"] = {"text": str(derived), "latex": derived.latex(), "proved": derived.proved}
        return data

    def write(self, files: dict[str, Path], netlist: str, dialect: str) -> None:
        """Write the program, its netlist, report and bill of materials to a file for each of `SUFFIXES`."""
        from .program_page import write_page  # which loads matplotlib

        program, report, placement, derived, outlook, amplifier = self
        program.save(files[".json"].with_suffix(""))
        write_text(files[".cir"], netlist)
        text = [self.text]
        if placement is not None:
            text += [f"{name:>20}  {value}" for name, value in placement.summary()]
        if derived is not None:
            text += ["", str(derived)]
        write_text(files[".report.txt"], "\n".join([*text, ""]))
        write_text(files[".report.json"], to_json(self.data()))
        write_page(
            program,
            files[".report.html"],
            netlist,
            dialect,
            placement,
            derived,
            report,
            outlook,
            amplifier,
            self.not_modelled,
        )
        bill = [
            f"{kind},{value!r},{UNITS.get(kind, '')},{count},{value * count!r}" for kind, value, count in report.bill
        ]
        listed = {kind for kind, _, _ in report.bill}
        bill += [f"{kind},,,{count}," for kind, count in report.parts.items() if kind not in listed]
        write_text(files[".bom.csv"], "\n".join(["part,value,unit,count,total", *bill, ""]))
