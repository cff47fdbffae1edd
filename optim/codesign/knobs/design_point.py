"""`DesignPoint`: values of some knobs, all others as they are; what it makes of a technology, a card and a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ....circuits.errors import InputError
from ....circuits.files import first_problem
from ....circuits.technology.technology import Technology
from ....compiler.programming import Programming
from ....devicemodel.card import REPLACED_FIGURES, DeviceCard
from ....devicemodel.device import Device
from ....devicemodel.devices.cell_measurement import measure_cells
from ....devicemodel.devices.surrogate import SurrogateDevice
from ....devicemodel.host.readout import ReadOut
from ....devicemodel.host.refine import Refined
from ...optimizers.readings.reading import ROUNDS, TOLERANCE
from .heeded import changes_no_reading, not_of_a_card, require_heeded
from .knob import Part, Value
from .registry import KNOBS, knob_named

_AREA_LAW: dict[str, Any] = {"pelgrom_coefficient": None, "area": None}
_INPUT_LAW: dict[str, Any] = {"offset_pelgrom_coefficient": None, "input_area": None}
_VARIED = ("resistors", "capacitors", "inductors")
_EXCLUDED: dict[str, dict[str, Any]] = {
    **{f"{part}.tolerance": _AREA_LAW for part in _VARIED},
    **{f"{part}.{name}": {"tolerance": 0.0} for part in _VARIED for name in _AREA_LAW},
    "opamp.offset": {**_INPUT_LAW, "transistors": ()},
    **{f"opamp.{name}": {"offset": 0.0, "transistors": ()} for name in _INPUT_LAW},
    "resistors.series": {"bits": None},
    "resistors.bits": {"series": None},
}
"""Other statements of the same thing, which a knob takes the place of."""
_STATED_BY = {
    **{f"{part}.mismatch": ("tolerance", *_AREA_LAW) for part in _VARIED},
    "opamp.offset_mismatch": ("offset", *_INPUT_LAW),
}
_PARAMETERS: dict[str, str] = {
    f"{figure.partition('.')[0]}.{name}": change.partition("=")[0]
    for figure, change in REPLACED_FIGURES.items()
    for name in _STATED_BY.get(figure, (figure.partition(".")[2],))
}
"""Of the knobs that a card has a parameter for, the parameter."""
_VERIFY = ("programming.verify_levels", "programming.verify_programmings")


class DesignPoint(Mapping[str, Value]):
    """Values of some knobs by name, checked; all other knobs stay as the card, the host's defaults and the task's plan have them.

    Args:
        values: name or alias of a knob -> value, as Python has it.

    Raises:
        InputError: an unknown name, a knob that is given twice, by name and alias, or a value out of range.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values: dict[str, Value] = {}
        for given, value in (values or {}).items():
            knob = knob_named(given)
            if knob.target in self._values:
                raise InputError(f"{knob.target} is given twice, once by another name: leave one of them out")
            self._values[knob.target] = knob.check(value)

    def __getitem__(self, name: str) -> Value:
        return self._values[knob_named(name).target]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"DesignPoint({self._values!r})"

    def __or__(self, other: Mapping[str, Any]) -> DesignPoint:
        """With the other point's knobs in place of its own."""
        return DesignPoint({**self._values, **DesignPoint(other)})

    def of(self, *parts: Part) -> DesignPoint:
        """Its knobs of these parts of the machine."""
        return DesignPoint({name: value for name, value in self.items() if KNOBS[name].part in parts})

    @property
    def settings(self) -> dict[str, Any]:
        """Of TNGD, by argument."""
        return self._arguments("tngd")

    @property
    def steps(self) -> int | None:
        """Of the training; None: as it is."""
        return self._count("training.steps")

    @property
    def batch(self) -> int | None:
        """Of the training; None: as it is."""
        return self._count("training.batch")

    def _count(self, target: str) -> int | None:
        found = self._values.get(target)
        return None if found is None else int(found)

    @property
    def refines(self) -> bool:
        """Whether it says how readings are refined, so that its devices are `Refined`."""
        return bool(self._arguments("refined"))

    def technology_at(self, technology: Technology) -> Technology:
        """The technology with the point's figures in place of its own.

        A figure that is turned takes the place of other statements of the same thing: a tolerance that of Pelgrom's law and the other way
        round, an offset that of its law and of `opamp.transistors`, bits that of a series. Areas become "chosen".

        Raises:
            InputError: values that exclude each other, or that this technology does not go with.
        """
        turned = self.of("technology")
        if not turned:
            return technology
        data = technology.model_dump()
        for name in turned:
            part, _, field = name.partition(".")
            if data[part] is None:
                raise InputError(
                    f"{name}: technology {technology.name} states no areas; give one that does, as integrated does"
                )
            data[part].update(_EXCLUDED.get(name, {}))
        for name, value in turned.items():
            part, _, field = name.partition(".")
            figure = part == "area" and isinstance(data[part][field], dict)
            stated = {"value": value, "kind": "chosen", "source": "a design point"}
            data[part][field] = stated if figure else value
        try:
            return type(technology)(**data)
        except InputError as error:
            raise InputError(f"{self._shown(turned)}: {error}") from None

    def card_at(self, card: DeviceCard) -> DeviceCard:
        """The card of a machine that differs in the point's figures of the technology, uncalibrated in these.

        Where a card has a fitted parameter for a figure (`devicemodel.card.REPLACED_FIGURES`), the parameter becomes what the new figure
        alone says, without uncertainty: 1 / gain, 1 / (2 pi gbw), the mismatch. How far the fitted one was from the old figure is not
        carried over: it belongs to the machine that was measured. All else of the card stays, range of validity included.

        Raises:
            InputError: as `technology_at`; a figure that no device of the card's fabric heeds.
        """
        turned = self.of("technology")
        if not turned:
            return card
        if not isinstance(card, DeviceCard):
            raise InputError(
                f"{', '.join(turned)}: a {type(card).__name__} is a machine as it was built, without a technology: give a DeviceCard, "
                "or turn knobs of the host and the optimizer alone"
            )
        for name, value in turned.items():
            require_heeded(name, value, not_of_a_card(name, card.fabric))
        technology = self.technology_at(card.technology)
        try:
            stated = DeviceCard.uncalibrated(technology, card.fabric)
            changes: dict[str, Any] = {
                _PARAMETERS[name]: getattr(stated, _PARAMETERS[name]) for name in turned if name in _PARAMETERS
            }
            return DeviceCard.model_validate(dict(card) | changes | {"technology": technology})
        except ValidationError as error:
            raise InputError(f"{self._shown(turned)}: card {first_problem(error)}") from None
        except InputError as error:
            raise InputError(f"{self._shown(turned)}: {error}") from None

    def device_at(self, card: DeviceCard, die: int | None = None, seed: int = 0) -> Device:
        """A die of that card, programmed, read and refined as the point says; outside of the card's range it extrapolates.

        With a knob of `refined` it is a `Refined` device, with TNGD's own rounds and tolerance where the point has none. Verified cells are
        measured here, on the die itself.

        Args:
            die: its seed; None: nominal parts. seed: of its noise.

        Raises:
            InputError: as `card_at`, `SurrogateDevice`, `ReadOut`, `Refined` and `measure_cells`.
        """
        card = self.card_at(card)
        read_out = self._arguments("readout")
        layout, compensated = bool(self.get("device.layout")), bool(self.get("programming.compensate_leak"))
        cells = self.get("programming.verified_cells")

        def made(programming: Programming | None) -> SurrogateDevice:
            how = ReadOut(**read_out) if read_out else None
            return SurrogateDevice(card, die, seed, how, layout, extrapolate=True, programming=programming)

        if cells:
            levels, programmings = (self.get(name) for name in _VERIFY)
            given = {"levels": levels, "programmings": programmings}
            table = measure_cells(made(None), int(cells), **{k: int(v) for k, v in given.items() if v is not None})
            device: Device = made(Programming(compensate_leak=compensated, cells=table))
        else:
            device = made(Programming(compensate_leak=True) if compensated else None)
        return self.refined(device)

    def refined(self, device: Device) -> Device:
        """The device, `Refined` where the point has a knob of it."""
        if not self.refines:
            return device
        return Refined(device, **{"rounds": ROUNDS, "tolerance": TOLERANCE, **self._arguments("refined")})

    def require_heeded(self, card: DeviceCard, *, task: bool = True) -> None:
        """InputError, with the remedy, for a knob that no reading or training on this card's devices depends on.

        Args:
            task: whether the optimizer is that of a task, which takes settings; a function of the user's has its own.
        """
        for name, reason in self.unheeded(card, task=task).items():
            require_heeded(name, self[name], reason)

    def unheeded(self, card: DeviceCard, *, task: bool = True) -> dict[str, str]:
        """Why, and the remedy, for each knob that no reading or training on this card's devices depends on; as `require_heeded`."""
        at, layout = self.card_at(card), bool(self.get("device.layout"))
        found = {}
        for name in self:
            part = KNOBS[name].part
            if part == "technology":
                found[name] = changes_no_reading(name, at.technology, layout)
            elif part == "optimizer" and not task:
                found[name] = (
                    "a function of your own sets its optimizer itself: give a task, or turn it in the function"
                )
            elif name in _VERIFY and not self.get("programming.verified_cells"):
                found[name] = "no cells are verified: set programming.verified_cells to the cells of the largest system"
        return {name: reason for name, reason in found.items() if reason}

    def _arguments(self, prefix: str) -> dict[str, Any]:
        """Values of the knobs with this prefix, by the rest of their names."""
        return {name.partition(".")[2]: value for name, value in self.items() if name.startswith(f"{prefix}.")}

    @staticmethod
    def _shown(values: Mapping[str, Value]) -> str:
        return ", ".join(
            f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}" for name, value in values.items()
        )
