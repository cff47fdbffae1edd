"""`Netlist`: a checked list of parts, and its text for a simulator (`spice.writer`).

A netlist holds only numbers and checked names, so its text can carry no command: nothing a user writes reaches the
simulator except through these records. Names and nodes follow SPICE in ignoring case.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import TypeVar

from scipy import constants

from ..errors import InputError, NetlistError
from .analyses import HasCards
from .elements import (
    CCCS,
    CCVS,
    GROUND,
    KINDS,
    CurrentSource,
    Element,
    Resistor,
    VoltageSource,
)
from .library_passives import LIBRARY_PASSIVES
from .limiting import Behavioural, Clamp, HoldingSwitch, SaturatingVCCS
from .model_library import LibraryModel, ModelLibrary
from .mutual_inductance import MutualInductance, mutual_inductances
from .semiconductors import (
    DEVICES,
    NOMINAL_CELSIUS,
    Device,
    DeviceModel,
    model_cards,
)
from .topology import check_topology

Kind = TypeVar("Kind", bound=Element)
_KINDS = (*KINDS, MutualInductance, SaturatingVCCS, Clamp, HoldingSwitch, *DEVICES, *LIBRARY_PASSIVES)
_GROUP = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class Netlist:
    """An ordered collection of parts with unique names.

    Args:
        title: one line of text.
        temperature: of every resistor that does not carry its own, in K.
        comments: header lines for the text form.

    Raises:
        InputError: control characters in the title or a comment; a temperature that is not finite and > 0 K.
    """

    def __init__(self, title: str, temperature: float = 300.15, comments: Iterable[str] = ()) -> None:
        self.title = _text_line("title", title)
        self.comments = tuple(_text_line("comment", comment) for comment in comments)
        self.temperature = float(temperature)
        if not math.isfinite(self.temperature) or self.temperature <= 0.0:
            raise InputError(f"netlist temperature = {temperature!r} K, but it must be finite and > 0 K")
        self._elements: dict[str, Element] = {}
        self._groups: dict[str, str] = {}
        self._models: dict[str, DeviceModel | LibraryModel] = {}
        self._libraries: dict[str, ModelLibrary] = {}
        self._saturates = False
        self._spelling: dict[str, str] = {GROUND: GROUND}
        self._spelled = {GROUND}
        self._nodes: tuple[str, ...] | None = None

    def add(self, *elements: Element, group: str = "") -> None:
        """Append parts; all or none are taken.

        Args:
            elements: the parts.
            group: the cell that they belong to, which a hierarchical text makes a sub-circuit; "": none.

        Raises:
            NetlistError: a name that is already used, two nodes that differ only in case (SPICE ignores case), or two models of
                one name that are not the same.
            InputError: something that is not a part.
        """
        if group and not _GROUP.fullmatch(group):
            raise InputError(f"group {group!r}: a letter, then up to 63 letters, digits or '_' are needed")
        fresh: dict[str, Element] = {}
        spelling: dict[str, str] = {}
        models: dict[str, DeviceModel | LibraryModel] = {}
        libraries: dict[str, ModelLibrary] = {}
        placed, spelled = self._elements, self._spelled
        plain = all(type(e) is Resistor and e.a in spelled and e.b in spelled for e in elements)
        if plain:  # rows of a large array, decided as a whole
            fresh = {e.name.lower(): e for e in elements}
            plain = len(fresh) == len(elements) and not any(key in placed for key in fresh)
        if not plain:
            fresh = {}
        for element in () if plain else elements:
            if not isinstance(element, _KINDS):
                raise InputError(f"netlist {self.title!r}: {element!r} is not an element")
            key = element.name.lower()
            if key in placed or key in fresh:
                taken = placed.get(key) or fresh[key]
                raise NetlistError(f"duplicate element name {element.name!r} (already: {taken!r}); rename it")
            fresh[key] = element
            if isinstance(element, Device):
                low = element.model.name.lower()
                model = self._models.get(low) or models.setdefault(low, element.model)
                if model != element.model:
                    raise NetlistError(
                        f"{element.name}: its model {element.model.name!r} is not the one of that name which "
                        "other parts have; rename one"
                    )
                if isinstance(model, LibraryModel):
                    library = model.library
                    other = self._libraries.get(library.process) or libraries.setdefault(library.process, library)
                    if other != library:
                        raise NetlistError(
                            f"{element.name}: its model is of {library.process} at {library.corner}, those of other parts at "
                            f"{other.corner}; a circuit is made at one corner"
                        )
            for node in element.nodes:
                low = node.lower()
                known = self._spelling.get(low) or spelling.setdefault(low, node)
                if known != node:
                    raise NetlistError(
                        f"{element.name}: node {node!r} and node {known!r} differ only in case, which SPICE ignores; "
                        "spell both alike or rename one"
                    )
        self._elements.update(fresh)
        if group:
            self._groups.update(dict.fromkeys(fresh, group))
        self._models.update(models)
        self._libraries.update(libraries)
        if not plain:
            self._saturates |= any(isinstance(element, Behavioural) for element in elements)
        self._spelling.update(spelling)
        self._spelled.update(spelling.values())
        self._nodes = None

    def with_sources(self, values: Mapping[str, float], comments: Iterable[str] = ()) -> Netlist:
        """A copy with other dc values (V or A) of the named independent sources, and other comments.

        Raises:
            InputError: no independent source of that name.
        """
        other = Netlist(self.title, self.temperature, comments)
        other._elements, other._groups, other._models = dict(self._elements), dict(self._groups), dict(self._models)
        other._saturates, other._libraries = self._saturates, dict(self._libraries)
        other._spelling, other._spelled, other._nodes = dict(self._spelling), set(self._spelled), self.nodes
        for name, value in values.items():
            source = self[name]
            if not isinstance(source, VoltageSource | CurrentSource):
                raise InputError(f"{name} is a {type(source).__name__}, not an independent source")
            other._elements[name.lower()] = dataclasses.replace(source, dc=value)
        return other

    @property
    def elements(self) -> tuple[Element, ...]:
        """All parts in the order in which they were added."""
        return tuple(self._elements.values())

    @property
    def nodes(self) -> tuple[str, ...]:
        """All node names, sorted, without ground."""
        if self._nodes is None:
            self._nodes = tuple(sorted(node for node in self._spelling.values() if node != GROUND))
        return self._nodes

    def of(self, kind: type[Kind]) -> list[Kind]:
        """All parts of one kind, in order."""
        return [element for element in self._elements.values() if isinstance(element, kind)]

    def group_of(self, name: str) -> str:
        """The cell that a part belongs to; "" for none."""
        return self._groups.get(name.lower(), "")

    def __getitem__(self, name: str) -> Element:
        try:
            return self._elements[name.lower()]
        except KeyError:
            raise InputError(f"netlist {self.title!r} has no element {name!r}") from None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._elements

    def __iter__(self) -> Iterator[Element]:
        return iter(self._elements.values())

    def __len__(self) -> int:
        return len(self._elements)

    def __repr__(self) -> str:
        return f"Netlist({self.title!r}, {len(self)} elements, {len(self.nodes)} nodes)"

    def check(self, direct_current: bool = True) -> None:
        """Raise NetlistError if the circuit's graph is one that no simulator should be given (see `topology`).

        Args:
            direct_current: also raise for loops of inductors, whose currents only an initial state determines.
        """
        probes: list[CCVS | CCCS] = [*self.of(CCVS), *self.of(CCCS)]
        for element in probes:
            if not isinstance(self._elements.get(element.sense.lower()), VoltageSource):
                raise NetlistError(f"{element.name} senses {element.sense!r}, but there is no such voltage source")
        mutual_inductances(self._elements.values())
        check_topology(self.elements, self.nodes, direct_current)

    @property
    def is_linear(self) -> bool:
        """Whether every part is linear: no diodes, transistors, switches or saturating sources."""
        return not self._models and not self._saturates

    def linearised(self) -> Netlist:
        """A copy with each saturating source as its small-signal equivalent at zero volts, for the linear engines.

        Diodes, transistors and switches stay as they are.
        """
        other = Netlist(self.title, self.temperature, self.comments)
        for element in self:
            linear = element.linearised() if isinstance(element, Behavioural) else element
            if linear is not None:
                other.add(linear, group=self.group_of(element.name))
        return other

    def cards(self, models: Callable[[Iterable[Element]], list[str]] = model_cards) -> list[str]:
        """The parts, their models and the temperature as ngspice lines, without title and comments.

        Args:
            models: gives the cards of all parts' models.
        """
        celsius = self.temperature - constants.zero_Celsius
        lines = [element.line(self.temperature) for element in self._elements.values()]
        if not self._models:
            return [*lines, f".options temp={celsius!r} tnom={celsius!r}"]
        return [*lines, *models(self._elements.values()), f".options temp={celsius!r} tnom={NOMINAL_CELSIUS!r}"]

    def to_spice(self, dialect: str = "ngspice", analysis: HasCards | None = None, hierarchical: bool = False) -> str:
        """The netlist as a text file: title, comments, parts in order, temperature, the analysis' cards if one is given, ``.end``.

        The same netlist always gives the same text; numbers keep their 17 significant digits. A resistor's own temperature and
        `noisy=False` are written in the dialect's syntax (ngspice: ``dtemp=``, the distance from the netlist's, and ``noisy=0``).
        Diodes and transistors are written for ngspice only, since the simulators' models differ.
        LTspice and Xyce keep ``ic=`` in force in an operating point, so it is left out where the analysis starts with one.

        Args:
            dialect: "ngspice", "ltspice", "xyce" or "gnucap".
            analysis: OperatingPoint, Transient, Noise or AC of `circuits.netlist.analyses`; ngspice takes whatever has `cards()`.
            hierarchical: each group as a sub-circuit of its name, used once as ``X<group>``; its ports are the nodes that parts
                outside or the analysis name, the others stay local. Else a flat list.

        Raises:
            InputError: an unknown dialect; an analysis that it does not support.
            NetlistError: hierarchical, and a part refers to one in another group; a diode or transistor in another dialect.
        """
        # Bound late: spice knows netlist, and not the reverse.
        text: str = import_module("..spice.writer", __package__).write_spice(self, dialect, analysis, hierarchical)
        return text


def _text_line(what: str, text: str) -> str:
    if not isinstance(text, str) or not text.isprintable():
        raise InputError(f"netlist {what} {text!r}: one line of printable text is needed, without control characters")
    return text
