"""Diodes and transistors: passed through to ngspice, which alone knows their equations.

A device is a record of checked names and numbers and carries its `.model` card as one, so that nothing else of a user's text
reaches the simulator. The linear engines (`statespace`, `descriptor`) reject it by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from ..errors import InputError, NetlistError
from .elements import RESERVED_NODES, Element, _number
from .limiting import Behavioural
from .model_library import LibraryModel

Parameters: TypeAlias = Mapping[str, float] | tuple[tuple[str, float], ...]

_MODEL_NAME = re.compile(r"(?=[0-9_]*[A-Za-z])[A-Za-z0-9_]{1,64}")
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
#: Levels that ngspice 39 has built in for devices of the terminals used here (measured: each loads and solves); BSIM3 (8, 49)
#: and BSIM4 (14, 54) want `version` as well, and ngspice says so.
_MOS_LEVELS = frozenset({1, 2, 3, 4, 5, 6, 8, 9, 14, 49, 54})
_BIPOLAR_LEVELS = frozenset({1, 4, 8, 9})
LEVELS: dict[str, frozenset[int]] = {
    "D": frozenset({1, 3}),
    "NPN": _BIPOLAR_LEVELS,
    "PNP": _BIPOLAR_LEVELS,
    "NMOS": _MOS_LEVELS,
    "PMOS": _MOS_LEVELS,
    "SW": frozenset({1}),
}
"""Kind of model -> the levels that are taken."""
#: ngspice would measure a device's parameters at the netlist's own temperature unless its usual 27 C is set.
NOMINAL_CELSIUS = 27.0
#: Newton's test, which our own runs of linear circuits do without (`ngspice.solver_options`).
NEWTON = "reltol=1e-05 vntol=1e-08 abstol=1e-12"
#: The same, and a step control that goes with it: its limit, trtol times reltol, is a relative error of 1e-6 a step.
TOLERANCES = f"{NEWTON} trtol=0.1 chgtol=1e-16"
_TEMPERATURES = ("temp", "dtemp")


@dataclass(frozen=True, slots=True)
class DeviceModel:
    """A `.model` card: `name`, `kind` (D, NPN, PNP, NMOS, PMOS or SW) and its `parameters`, name -> number in ngspice's units.

    Which parameters a level has, ngspice knows: one that it does not have is a SimulationError of the run.

    Raises:
        InputError: an illegal name, an unknown kind or level, a value that is not a finite number.
    """

    name: str
    kind: str
    parameters: Parameters = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _MODEL_NAME.fullmatch(self.name):
            raise InputError(
                f"model name {self.name!r}: 1 to 64 letters, digits or '_', one of them a letter; rename it"
            )
        if self.name.lower() in RESERVED_NODES or self.name.lower().startswith("thermograd"):
            raise InputError(f"model name {self.name!r} is reserved; rename the model")
        kind = self.kind.upper() if isinstance(self.kind, str) else ""
        if kind not in LEVELS:
            raise InputError(f"model {self.name}: kind {self.kind!r} is not taken; there are: {', '.join(LEVELS)}")
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "parameters", _pairs(f"model {self.name}", self.parameters))
        level = self.values.get("level", 1.0)
        if level not in LEVELS[kind]:
            known = ", ".join(str(number) for number in sorted(LEVELS[kind]))
            raise InputError(f"model {self.name}: level = {level:g} of {kind} is not taken; there are: {known}")

    @property
    def values(self) -> dict[str, float]:
        """The parameters by lower-case name."""
        return dict(self.parameters)

    def card(self) -> str:
        """The ngspice card; `level` is an integer there."""
        words = [f"{key}={int(value) if key == 'level' else repr(value)}" for key, value in self.values.items()]
        text = f".model {self.name} {self.kind.lower()}"
        return f"{text} ({' '.join(words)})" if words else text

    def cards(self) -> tuple[str, ...]:
        """Cards that make ngspice know the model."""
        return (self.card(),)


class Device(Element):
    """What diodes and transistors share: a `model`, and `parameters` of the instance, name -> number in ngspice's units.

    The model is a card of its own, or one of a foundry's files.
    """

    __slots__ = ()
    kinds: ClassVar[tuple[str, ...]]
    known: ClassVar[tuple[str, ...]]
    model: DeviceModel | LibraryModel
    parameters: Parameters

    @property
    def conducting(self) -> tuple[str, ...]:
        """Nodes that the device joins for direct current, through channel or junctions."""
        return self.nodes

    @property
    def values(self) -> dict[str, float]:
        """The parameters by lower-case name."""
        return dict(self.parameters)

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        words = [self.name, *self.nodes, self.model.name, *(f"{key}={value!r}" for key, value in self.values.items())]
        return " ".join(words)

    def _check_device(self) -> None:
        self._check_names()
        if not isinstance(self.model, DeviceModel | LibraryModel) or self.model.kind not in self.kinds:
            raise InputError(
                f"{self.name}: model = {self.model!r}: a DeviceModel of kind {' or '.join(self.kinds)} is needed"
            )
        if len(set(self.nodes)) == 1:
            raise InputError(f"{self.name}: all ends are on node {self.nodes[0]!r}; leave the part out")
        object.__setattr__(self, "parameters", _pairs(self.name, self.parameters))
        model = self.model if isinstance(self.model, LibraryModel) else None
        known = (model.known if model else ()) or self.known
        for key in self.values:
            if key not in known:
                raise InputError(f"{self.name}: parameter {key!r} is not taken; there are: {', '.join(known)}")
        if model:
            model.check(self.name, self.values)


@dataclass(frozen=True, slots=True)
class Diode(Device):
    """Diode: current flows from the anode `a` to the cathode `b`."""

    letter: ClassVar[str] = "D"
    kinds: ClassVar[tuple[str, ...]] = ("D",)
    known: ClassVar[tuple[str, ...]] = ("area", "pj", "m", "ic", *_TEMPERATURES)
    name: str
    a: str
    b: str
    model: DeviceModel
    parameters: Parameters = ()

    def __post_init__(self) -> None:
        self._check_device()


@dataclass(frozen=True, slots=True)
class BipolarTransistor(Device):
    """Bipolar transistor, NPN or PNP as its model says; its substrate is at ground unless named."""

    letter: ClassVar[str] = "Q"
    kinds: ClassVar[tuple[str, ...]] = ("NPN", "PNP")
    known: ClassVar[tuple[str, ...]] = ("area", "areab", "areac", "m", "icvbe", "icvce", *_TEMPERATURES)
    name: str
    collector: str
    base: str
    emitter: str
    model: DeviceModel
    parameters: Parameters = ()
    substrate: str = "0"

    def __post_init__(self) -> None:
        self._check_device()
        # ngspice takes the fourth word for the model if there is one of that name, whatever else was meant.
        if self.substrate.lower() == self.model.name.lower():
            raise InputError(f"{self.name}: its substrate and its model are both named {self.substrate!r}; rename one")

    @property
    def nodes(self) -> tuple[str, ...]:
        """Collector, base, emitter, substrate."""
        return (self.collector, self.base, self.emitter, self.substrate)

    @property
    def conducting(self) -> tuple[str, ...]:
        """Without the substrate, which a model need not connect."""
        return (self.collector, self.base, self.emitter)


@dataclass(frozen=True, slots=True)
class Mosfet(Device):
    """MOS transistor, NMOS or PMOS as its model says. Lengths in m, areas in m^2.

    A BSIM4 instance also has ``nf`` (fingers), ``sa``, ``sb``, ``sd`` (distances to the edges, m) and its own mismatch: ``delvto``, added
    to the threshold, V, and ``mulu0``, a factor of the mobility.
    """

    letter: ClassVar[str] = "M"
    kinds: ClassVar[tuple[str, ...]] = ("NMOS", "PMOS")
    known: ClassVar[tuple[str, ...]] = (
        *("w", "l", "ad", "as", "pd", "ps", "nrd", "nrs", "m"),
        *("nf", "sa", "sb", "sd", "delvto", "mulu0"),
        *("icvds", "icvgs", "icvbs", *_TEMPERATURES),
    )
    name: str
    drain: str
    gate: str
    source: str
    bulk: str
    model: DeviceModel | LibraryModel
    parameters: Parameters = ()

    def __post_init__(self) -> None:
        self._check_device()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Drain, gate, source, bulk."""
        return (self.drain, self.gate, self.source, self.bulk)

    @property
    def conducting(self) -> tuple[str, ...]:
        """Drain, source and bulk; the gate conducts nothing."""
        return (self.drain, self.source, self.bulk)


@dataclass(frozen=True, slots=True)
class Switch(Device):
    """Switch between `a` and `b`, closed while v(cp) - v(cm) is above its model's threshold.

    Its model is of kind SW, with `ron` and `roff` in ohm, `vt` (threshold) and `vh` (half the hysteresis) in V.
    """

    letter: ClassVar[str] = "S"
    kinds: ClassVar[tuple[str, ...]] = ("SW",)
    known: ClassVar[tuple[str, ...]] = ()
    name: str
    a: str
    b: str
    cp: str
    cm: str
    model: DeviceModel
    parameters: Parameters = ()

    def __post_init__(self) -> None:
        self._check_device()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Both ends and the controlling nodes."""
        return (self.a, self.b, self.cp, self.cm)

    @property
    def conducting(self) -> tuple[str, ...]:
        """Both ends: open, it still has its `roff`."""
        return (self.a, self.b)


DEVICES: tuple[type[Device], ...] = (Diode, BipolarTransistor, Mosfet, Switch)


def model_cards(elements: Iterable[Element]) -> list[str]:
    """The cards that the models of the devices among `elements` need, each once: `.model`, or those that name a foundry's files."""
    models = dict.fromkeys(element.model for element in elements if isinstance(element, Device))
    return list(dict.fromkeys(card for model in models for card in model.cards()))


def reject_devices(elements: Iterable[Element], engine: str) -> None:
    """Raise NetlistError if there is a part that is not linear, naming it and the `engine` that cannot take it."""
    for element in elements:
        if isinstance(element, Device):
            raise NetlistError(
                f"{element.name} is a {type(element).__name__}, which is not linear: the {engine} does not support it, only ngspice "
                "does (circuits.run)"
            )
        if isinstance(element, Behavioural):
            raise NetlistError(
                f"{element.name} is a {type(element).__name__}, which is not linear: give the {engine} netlist.linearised(), or "
                "simulate it in ngspice (circuits.run)"
            )


def _pairs(owner: str, parameters: Parameters) -> tuple[tuple[str, float], ...]:
    """Checked (lower-case name, number) pairs."""
    try:
        given = list(parameters.items()) if isinstance(parameters, Mapping) else [(k, v) for k, v in parameters]
    except (TypeError, ValueError):
        raise InputError(f"{owner}: parameters = {parameters!r}: a mapping from name to number is needed") from None
    checked: dict[str, float] = {}
    for key, value in given:
        if not isinstance(key, str) or not _PARAMETER.fullmatch(key) or key.lower() in RESERVED_NODES:
            raise InputError(
                f"{owner}: parameter name {key!r}: a letter, then up to 31 letters, digits or '_' are needed"
            )
        if key.lower() in checked:
            raise InputError(f"{owner}: parameter {key!r} is given twice; drop one")
        checked[key.lower()] = _number(owner, key, value) + 0.0
    return tuple(checked.items())
