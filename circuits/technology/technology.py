"""`Technology`: the parts and the process that a device is built from, as one typed, validated record.

Every field is an SI float. `Technology.read(path)` and `.write(path)` move a technology through TOML or JSON; `presets.preset(name)`
gives the shipped ones, and `die.Die(technology, seed)` draws one die with its own mismatch.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, ClassVar, Self

import tomli_w
from pydantic import Field, model_validator

from ..errors import InputError
from ..files import parse_json, read_text, write_text
from ..records import Record
from .area import Areas
from .converters import Converter, Link
from .parts import Capacitors, Inductors, OpAmp, Resistors, Switches, Thermal, Wires
from .provenance import PRICED, Price

UNMODELLED = (
    ("dac", ("noise", "bandwidth", "max_gain", "leakage"), "only an ADC's is modelled", ""),
    ("adc", ("attenuations", "attenuation_error"), "only a DAC's output has an attenuator", ""),
    (
        "adc",
        ("resistance", "capacitance", "leakage"),
        "devices and extracted netlists have no sample-and-hold",
        ", and give sampling.add_sample_and_hold a Converter of its own",
    ),
)
"""Fields of the converters that nothing built from a technology would heed, why, and what to do."""


class Technology(Record):
    """Everything that the compiler and the device models need to know about the hardware.

    Raises `InputError` on construction when a field is unknown or out of range, naming it.
    """

    title_in_errors: ClassVar[str] = "technology"

    name: str = Field(default="custom", pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]{0,63}$")
    """Short name, used in reports."""
    source: str = ""
    """Where the figures come from."""
    resistors: Resistors = Resistors()
    capacitors: Capacitors = Capacitors()
    inductors: Inductors = Inductors()
    opamp: OpAmp = OpAmp()
    switches: Switches = Switches()
    wires: Wires = Wires()
    dac: Converter = Converter()
    adc: Converter = Converter()
    link: Link = Link()
    thermal: Thermal = Thermal()
    area: Areas | None = None
    """Sizes of the parts on silicon; none: not stated, and no area is worked out."""
    prices: tuple[Price, ...] = ()
    """Sources of the figures that time and energy are reckoned with; of a preset's name, before those of the preset."""

    @model_validator(mode="after")
    def _prices_are_of_figures(self) -> Self:
        names = [price.figure for price in self.prices]
        for name in names:
            if name not in PRICED:
                raise ValueError(f"prices: {name!r} is no price; there are: {', '.join(PRICED)}")
            if names.count(name) > 1:
                raise ValueError(f"prices: {name!r} is there twice; state one source for each figure")
        return self

    @model_validator(mode="after")
    def _converters_have_no_such_part(self) -> Self:
        for kind, names, why, remedy in UNMODELLED:
            for name in names:
                value, default = getattr(getattr(self, kind), name), Converter.model_fields[name].default
                if value != default:
                    raise ValueError(f"{kind}.{name} is {value:g}, but {why}: leave it at {default:g}{remedy}")
        return self

    @classmethod
    def read(cls, path: str | Path) -> Technology:
        """Read a TOML or JSON file, as its suffix says. Fields left out keep their default."""
        path = Path(path)
        try:
            text = read_text(path)
            data = parse_json(text) if path.suffix == ".json" else tomllib.loads(text)
        except OSError as error:
            raise InputError(f"technology file {str(path)!r} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"technology file {str(path)!r} is not valid {path.suffix or 'TOML'}: {error}") from None
        if not isinstance(data, dict):
            raise InputError(f"technology file {str(path)!r} must hold a table of fields, got {type(data).__name__}")
        return cls(**data)

    def write(self, path: str | Path) -> None:
        """Write TOML, or JSON when the suffix is .json; the file appears whole or not at all."""
        path = Path(path)
        write_text(path, self.model_dump_json(indent=2) if path.suffix == ".json" else self.to_toml())

    def to_toml(self) -> str:
        """This record as TOML text, one table for each part."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))

    def replace(self, **changes: Any) -> Technology:
        """A copy with fields changed; `part__field=value` reaches into a part: `tech.replace(adc__bits=8)`."""
        data = self.model_dump()
        for key, value in changes.items():
            part, _, field = key.partition("__")
            if field and isinstance(data.get(part), dict):
                data[part][field] = value
            else:
                data[key] = value.model_dump() if isinstance(value, Record) else value
        return type(self)(**data)
