"""A netlist as text for ngspice, LTspice, Xyce or gnucap, each by its own reference; `docs/dialects.md` names the source of every rule.

The parts are the same records in every dialect and their names are checked there, so no text can carry a command. Numbers keep their
17 significant digits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from scipy import constants

from ..errors import InputError
from ..netlist.analyses import AC, HasCards, Noise, OperatingPoint, Transient
from ..netlist.elements import Capacitor, CurrentSource, Element, Inductor, Resistor, VoltageSource, check_node
from ..netlist.limiting import Behavioural
from ..netlist.netlist import Netlist
from ..netlist.semiconductors import NOMINAL_CELSIUS, TOLERANCES, Device, model_cards, reject_devices
from ..netlist.subcircuits import Cell, split_cells
from ..netlist.waveforms import waveform_text
from .parameters import Parameters

_WIDTH = 120
#: Neither simulator's step control was tried here, so the largest step alone must give the accuracy.
_MIN_STEPS = 1000
_FIRST_STEP = 1e-7
_SHOWN = 10
"""Largest steps between the points that gnucap prints."""
_MAX_NAMED = 6


class Dialect:
    """What one simulator's text says differently; this one is ngspice's.

    Attributes:
        name: as `Netlist.to_spice` takes it.
        holds_initial: whether `ic=` is in force in an operating point too, where the other simulators ignore it.
        has_expressions: whether values may be expressions of parameters.
    """

    name = "ngspice"
    holds_initial = False
    has_expressions = True

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


class Gnucap(Dialect):
    """GNU's circuit analysis package, release of 2017. What it does not know it drops with a remark: nothing of that is written."""

    name = "gnucap"
    has_expressions = False

    def part(self, element: Element, ambient: float) -> str:
        """A resistor's own temperature in Celsius. A word that it does not know, as `noisy=0`, would make the resistor a short circuit."""
        if isinstance(element, Behavioural):
            raise InputError(
                f"{element.name} is a {type(element).__name__}, and gnucap has no sources of such a law: write it for ngspice, or take the "
                "linear amplifiers"
            )
        return _resistor_in_celsius(element) if isinstance(element, Resistor) else element.line(ambient)

    def options(self, netlist: Netlist) -> list[str]:
        """The temperature; sources of 0.1 microohm in place of 10, the least that leaves gains of 1e8 their digits; and all digits."""
        celsius = netlist.temperature - constants.zero_Celsius
        return [
            f".options temp={celsius!r} tnom={celsius!r} short=1e-07 numdgt=16",
            # A source is 1e7 S and a current, which Newton's test compares; its rounding is some mA behind a gain of 1e8.
            ".options reltol=1e-06 abstol=0.01 vntol=1e-07",
        ]

    def analysis(self, analysis: HasCards) -> list[str]:
        """`.op`, `.tran` or `.ac`, each after the `.print` that it fills; `basic` is for numbers without SPICE's suffixes."""
        if isinstance(analysis, OperatingPoint):
            return [*_wrapped([".print op", *_voltages(analysis.nodes, "v(nodes)")]), ".op basic"]
        if isinstance(analysis, Transient):
            step = _largest_step(analysis, self.name)
            shown, uic = step * _SHOWN, " uic" if analysis.use_initial else ""
            return [
                *_wrapped([".print tran", *_voltages(analysis.nodes, "v(nodes)")]),
                f".tran {shown!r} {analysis.stop!r} 0 {step!r}{uic} basic",
            ]
        if isinstance(analysis, AC):
            if analysis.nodes is None:
                raise InputError("AC.nodes = None cannot be written for gnucap, which needs their names; give them")
            parts = [f"v{part}({node})" for node in analysis.nodes for part in "ri"]
            return [*_wrapped([".print ac", *parts]), f"{_ac(analysis)} basic"]
        raise InputError(f"analysis {type(analysis).__name__} cannot be written for gnucap, which has none of noise")

    def notes(self, netlist: Netlist) -> list[str]:
        """That no resistor can be said to be noiseless."""
        silent = sum(not element.noisy for element in netlist.of(Resistor))
        return (
            [f"gnucap has no noise analysis: that {silent} resistors are noiseless is not in this text"]
            if silent
            else []
        )


DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Dialect(), LTspice(), Xyce(), Gnucap())}
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
    if parameters is not None and not known.has_expressions:
        raise InputError(f"{known.name} takes numbers alone: leave the parameters out, or write it for ngspice")
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


def write_subcircuit(netlist: Netlist, name: str, ports: tuple[str, ...]) -> str:
    """A netlist as a file to be included by ngspice: a sub-circuit for each of its groups, and one called `name` that wires them.

    Raises:
        InputError: a name that is none, or that of a group.
        NetlistError: a part refers to one in another group.
    """
    check_node(name)
    cells, top = split_cells(netlist, ports)
    if name.lower() in {cell.name.lower() for cell in cells}:
        raise InputError(f"sub-circuit {name!r} has the name of a group; give another name")

    def lines(elements: Iterable[Element]) -> list[str]:
        return [element.line(netlist.temperature) for element in elements]

    return "\n".join(
        [
            *(f"* {line}" for line in (netlist.title, *netlist.comments)),
            *_definitions(cells, lines),
            *_wrapped([f".subckt {name}", *ports]),
            *_instances(cells),
            *lines(top),
            f".ends {name}",
            *model_cards(netlist),
            "",
        ]
    )


def _cells(netlist: Netlist, analysis: HasCards | None, lines: Callable[[Iterable[Element]], list[str]]) -> list[str]:
    """Each cell's definition, then the instances, then the parts outside."""
    read: tuple[str, ...] = ()
    if isinstance(analysis, OperatingPoint | Transient | AC):
        read = analysis.nodes or ()
    elif isinstance(analysis, Noise):
        read = analysis.output_nodes
    cells, top = split_cells(netlist, read, analysis.source if isinstance(analysis, Noise) else "")
    return [*_definitions(cells, lines), *_instances(cells), *lines(top)]


def _definitions(cells: Iterable[Cell], lines: Callable[[Iterable[Element]], list[str]]) -> list[str]:
    text: list[str] = []
    for cell in cells:
        text += [*_wrapped([f".subckt {cell.name}", *cell.ports]), *lines(cell.elements), f".ends {cell.name}"]
    return text


def _instances(cells: Iterable[Cell]) -> list[str]:
    return [line for cell in cells for line in _wrapped([f"X{cell.name}", *cell.ports, cell.name])]


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


def _voltages(nodes: tuple[str, ...] | None, every: str = "v(*)") -> list[str]:
    return [every] if nodes is None else [f"v({node})" for node in nodes]


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
