"""A netlist as text for ngspice, LTspice or Xyce, each by its own reference; `docs/dialects.md` names the source of every rule.

The parts are the same records in every dialect and their names are checked there, so no text can carry a command. Numbers keep their
17 significant digits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from scipy import constants

from ..errors import InputError
from ..netlist.analyses import AC, HasCards, Noise, OperatingPoint, Transient
from ..netlist.elements import Capacitor, CurrentSource, Element, Inductor, Resistor, VoltageSource
from ..netlist.limiting import Behavioural
from ..netlist.netlist import Netlist
from ..netlist.semiconductors import NOMINAL_CELSIUS, TOLERANCES, Device, model_cards, reject_devices
from ..netlist.subcircuits import split_cells
from ..netlist.waveforms import waveform_text
from .parameters import Parameters

_WIDTH = 120
#: Neither simulator's step control was tried here, so the largest step alone must give the accuracy.
_MIN_STEPS = 1000
_FIRST_STEP = 1e-7
_MAX_NAMED = 6


class Dialect:
    """What one simulator's text says differently; this one is ngspice's.

    Attributes:
        name: as `Netlist.to_spice` takes it.
        holds_initial: whether `ic=` is in force in an operating point too, where the other simulators ignore it.
    """

    name = "ngspice"
    holds_initial = False

    def part(self, element: Element, ambient: float) -> str:
        """The part's line in a netlist of temperature `ambient` (K)."""
        return element.line(ambient)

    def options(self, netlist: Netlist) -> list[str]:
        """Cards that hold whatever the analysis is: the temperature, and what the simulator would add to the parts."""
        celsius = netlist.temperature - constants.zero_Celsius
        models = model_cards(netlist)
        nominal = NOMINAL_CELSIUS if models else celsius
        return [*models, f".options temp={celsius!r} tnom={nominal!r}"]

    def analysis(self, analysis: HasCards) -> list[str]:
        """The analysis' cards, and the `.print` without which `ngspice -b` runs nothing but an operating point.

        Raises:
            InputError: one that this dialect does not support.
        """
        if isinstance(analysis, Transient):
            _reject_noise(analysis, self.name)
        cards = list(analysis.cards())
        if isinstance(analysis, Transient | AC) and analysis.nodes:
            kind = "tran" if isinstance(analysis, Transient) else "ac"
            cards += _wrapped([f".print {kind}", *(f"v({node})" for node in analysis.nodes)])
        elif isinstance(analysis, Noise):
            cards.append(".print noise onoise_spectrum")
        return cards

    def notes(self, netlist: Netlist) -> list[str]:
        """What this dialect cannot say of the netlist, as lines for its header."""
        return []


class LTspice(Dialect):
    """Analog Devices' LTspice."""

    name = "ltspice"
    holds_initial = True

    def part(self, element: Element, ambient: float) -> str:
        """A resistor's own temperature in Celsius and `noiseless`; a source's value without a keyword before it."""
        if isinstance(element, Resistor):
            quiet = "" if element.noisy else " noiseless"
            return f"{_resistor_in_celsius(element)}{quiet}"
        if isinstance(element, VoltageSource | CurrentSource):
            value = waveform_text(element.waveform) if element.waveform else repr(element.dc + 0.0)
            text = f"{element.name} {element.a} {element.b} {value}"
            return text if element.ac == 0.0 else f"{text} AC {element.ac!r}"
        return element.line(ambient)

    def options(self, netlist: Netlist) -> list[str]:
        """Temperature, and ideal inductors: LTspice gives each 1 mohm in series and a damping resistor by default."""
        celsius = netlist.temperature - constants.zero_Celsius
        cards = [f".temp {celsius!r}", f".options tnom={celsius!r}"]
        if netlist.of(Inductor):
            cards.append(".options Thev_Induc=1 DampInductors=0")
        return cards

    def analysis(self, analysis: HasCards) -> list[str]:
        """`.op`, `.tran` or `.noise`; waveforms uncompressed and in double precision."""
        exact = ".options plotwinsize=0 numdgt=15"
        if isinstance(analysis, OperatingPoint):
            return [exact, ".op"]
        if isinstance(analysis, Transient):
            step = _largest_step(analysis, self.name)
            uic = " uic" if analysis.use_initial else ""
            return [f"{exact} method=trap reltol=1e-06", f".tran 0 {analysis.stop!r} 0 {step!r}{uic}"]
        return [exact, _ac(analysis) if isinstance(analysis, AC) else _noise(analysis, self.name)]


class Xyce(Dialect):
    """Sandia's Xyce."""

    name = "xyce"
    holds_initial = True

    def part(self, element: Element, ambient: float) -> str:
        """A resistor's own temperature as TEMP in Celsius; Xyce reads DTEMP and does not use it. Expressions in braces."""
        if isinstance(element, Behavioural):
            places, expression = element.line(ambient).split(" i=", 1)
            return f"{places} i={{{expression}}}"
        return _resistor_in_celsius(element) if isinstance(element, Resistor) else element.line(ambient)

    def options(self, netlist: Netlist) -> list[str]:
        """The temperature, a device option."""
        celsius = netlist.temperature - constants.zero_Celsius
        return [f".options device temp={celsius!r} tnom={celsius!r}"]

    def analysis(self, analysis: HasCards) -> list[str]:
        """`.op`, `.tran` or `.noise`, and the `.print` without which Xyce writes no results."""
        if isinstance(analysis, OperatingPoint):
            return [".op", *_wrapped([".print dc format=csv precision=15", *_voltages(analysis.nodes)])]
        if isinstance(analysis, Transient):
            step = _largest_step(analysis, self.name)
            uic = " uic" if analysis.use_initial else ""
            return [
                ".options timeint method=trap reltol=1e-06 abstol=1e-09",
                f".tran {_FIRST_STEP * analysis.stop!r} {analysis.stop!r} 0 {step!r}{uic}",
                *_wrapped([".print tran format=csv precision=15", *_voltages(analysis.nodes)]),
            ]
        if isinstance(analysis, AC):
            voltages = _voltages(analysis.nodes)
            return [_ac(analysis), *_wrapped([".print ac format=csv precision=15", *voltages])]
        return [_noise(analysis, self.name), ".print noise format=csv precision=15 onoise inoise"]

    def notes(self, netlist: Netlist) -> list[str]:
        """The resistors that are noiseless here, which Xyce does not support."""
        silent = [element.name for element in netlist.of(Resistor) if not element.noisy]
        if not silent:
            return []
        named = ", ".join(silent[:_MAX_NAMED]) + (
            f" and {len(silent) - _MAX_NAMED} more" if len(silent) > _MAX_NAMED else ""
        )
        return [f"Xyce has no noiseless resistors: a noise analysis counts {named}, which should make none"]


DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Dialect(), LTspice(), Xyce())}
"""The dialects by name."""


def write_spice(
    netlist: Netlist,
    dialect: str = "ngspice",
    analysis: HasCards | None = None,
    hierarchical: bool = False,
    parameters: Parameters | None = None,
) -> str:
    """The text file of a netlist, as `Netlist.to_spice` describes it, with some values as expressions of `parameters`.

    Raises:
        InputError: an unknown dialect; an analysis that it does not support.
        NetlistError: hierarchical, and a part refers to one in another group; a diode or transistor in another dialect.
    """
    known = DIALECTS.get(dialect) if isinstance(dialect, str) else None
    if known is None:
        raise InputError(f"dialect {dialect!r} is unknown; there are: {', '.join(DIALECTS)}")
    if known.name != "ngspice":
        reject_devices((e for e in netlist if isinstance(e, Device)), f"{known.name} dialect")
    notes = known.notes(netlist)
    # An integrator's capacitor held at its start would hold its output there, too, and the answer would be the start.
    drop = known.holds_initial and _starts_at_rest(analysis)
    if drop and any(_uncharged(element) != element for element in netlist):
        notes.append(f"ic= left out: {known.name} would hold the parts there in the operating point")

    def lines(elements: Iterable[Element]) -> list[str]:
        shown = elements if parameters is None else list(elements)
        written = [known.part(_uncharged(e) if drop else e, netlist.temperature) for e in shown]
        return written if parameters is None else list(map(parameters.part, shown, written))

    if hierarchical:
        body = _cells(netlist, analysis, lines)
    else:
        body = lines(netlist)
    text = [f"* {line}" for line in (netlist.title, *netlist.comments, *notes)]
    if parameters is not None:
        text += parameters.lines()
    text += [*body, *known.options(netlist)]
    if analysis is not None:
        text += known.analysis(analysis)
        if known.name == "ngspice" and not netlist.is_linear:
            text.append(f".options {TOLERANCES}")
    return "\n".join([*text, ".end", ""])


def _cells(netlist: Netlist, analysis: HasCards | None, lines: Callable[[Iterable[Element]], list[str]]) -> list[str]:
    """Each cell's definition, then the instances, then the parts outside."""
    read: tuple[str, ...] = ()
    if isinstance(analysis, OperatingPoint | Transient | AC):
        read = analysis.nodes or ()
    elif isinstance(analysis, Noise):
        read = analysis.output_nodes
    cells, top = split_cells(netlist, read, analysis.source if isinstance(analysis, Noise) else "")
    text: list[str] = []
    for cell in cells:
        text += [*_wrapped([f".subckt {cell.name}", *cell.ports]), *lines(cell.elements), f".ends {cell.name}"]
    for cell in cells:
        text += _wrapped([f"X{cell.name}", *cell.ports, cell.name])
    return text + lines(top)


def _wrapped(words: list[str]) -> list[str]:
    """Words as one card, continued on lines that start with + where it gets long."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > _WIDTH:
            lines.append(f"+ {word}")
        else:
            lines[-1] += f" {word}"
    return lines


def _resistor_in_celsius(element: Resistor) -> str:
    text = f"{element.name} {element.a} {element.b} {element.resistance!r}"
    return text if element.temperature is None else f"{text} temp={element.temperature - constants.zero_Celsius!r}"


def _starts_at_rest(analysis: HasCards | None) -> bool:
    """Whether a simulator solves an operating point before or as the analysis."""
    return isinstance(analysis, OperatingPoint | Noise | AC) or (
        isinstance(analysis, Transient) and not analysis.use_initial
    )


def _uncharged(element: Element) -> Element:
    return dataclasses.replace(element, initial=None) if isinstance(element, Capacitor | Inductor) else element


def _voltages(nodes: tuple[str, ...] | None) -> list[str]:
    return ["v(*)"] if nodes is None else [f"v({node})" for node in nodes]


def _largest_step(analysis: Transient, dialect: str) -> float:
    _reject_noise(analysis, dialect)
    return min(analysis.step or analysis.stop, analysis.stop / _MIN_STEPS)


def _reject_noise(analysis: Transient, dialect: str) -> None:
    if analysis.noise:
        raise InputError(
            f"Transient.noise = True cannot be written for {dialect}: no text makes thermal noise in the time domain; "
            "write Noise(...), or run the transient by circuits.run"
        )


def _ac(analysis: AC) -> str:
    return f".ac dec {analysis.points_per_decade} {analysis.start!r} {analysis.stop!r}"


def _noise(analysis: HasCards, dialect: str) -> str:
    if not isinstance(analysis, Noise):
        raise InputError(
            f"analysis {type(analysis).__name__} cannot be written for {dialect}; there are: OperatingPoint, Transient, Noise, AC"
        )
    output = ",".join(analysis.output_nodes)
    sweep = f"dec {analysis.points_per_decade} {analysis.start!r} {analysis.stop!r}"
    return f".noise v({output}) {analysis.source} {sweep}"
