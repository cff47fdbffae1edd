"""`Technology`: the parts and the process that a device is built from, as one typed, validated record.

Every field is an SI float. `Technology.preset(name)` gives the shipped ones, `Technology.read(path)` and
`.write(path)` move them through TOML or JSON, and `.fabricate(seed)` draws one die with its own mismatch.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import InputError

if TYPE_CHECKING:
    from .die import Die

Series = Literal["E6", "E12", "E24", "E48", "E96", "E192"]


class Record(BaseModel):
    """A frozen record that refuses unknown fields, so that a misspelt one is an error and not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings", use_attribute_docstrings=True)


class Resistors(Record):
    """The resistors, or programmable conductances, that hold the matrix."""

    unit: float = Field(1e3, gt=0, le=1e9)
    """Resistance of the largest matrix entry, ohm."""
    tolerance: float = Field(0.0, ge=0, le=0.5)
    """Standard deviation of ln(R / R_nominal) of each part: 0.01 is 1 % (one sigma)."""
    tc1: float = Field(0.0, ge=-0.02, le=0.02)
    """Linear temperature coefficient, 1/K."""
    tc2: float = Field(0.0, ge=-1e-3, le=1e-3)
    """Quadratic temperature coefficient, 1/K^2."""
    series: Series | None = None
    """Preferred-number series (IEC 60063) that values are rounded to; none: any value can be had."""
    bits: int | None = Field(None, ge=1, le=24)
    """Bits of a programmable conductance, codes uniform from 1/(unit on_off) to 1/unit; none: not programmable."""
    on_off: float | None = Field(None, gt=1, le=1e9)
    """Largest over smallest programmable conductance; none: codes start at 0. Below the smallest, a part is left out."""

    @model_validator(mode="after")
    def _one_rounding(self) -> Resistors:
        if self.series is not None and self.bits is not None:
            raise ValueError("series and bits exclude each other: set one of them to none")
        if self.on_off is not None and self.bits is None:
            raise ValueError("on_off is the range of programmable conductances: set bits, too")
        return self


class Capacitors(Record):
    """The capacitors that hold the state."""

    unit: float = Field(1e-9, gt=0, le=1.0)
    """Capacitance of one state variable, farad."""
    tolerance: float = Field(0.0, ge=0, le=0.5)
    """Standard deviation of ln(C / C_nominal) of each part."""


class Inductors(Record):
    """The inductors of the oscillator fabrics."""

    unit: float = Field(1e-3, gt=0, le=1e3)
    """Inductance of the largest matrix entry (`lc`), or of every cell (`spu`), henry."""


class OpAmp(Record):
    """The amplifier of an active cell: one pole, finite gain, offset."""

    gain: float = Field(math.inf, gt=1)
    """Open-loop gain A0 at DC; inf is an ideal amplifier."""
    gbw: float = Field(math.inf, gt=0)
    """Gain-bandwidth product, Hz; inf is an ideal amplifier."""
    offset: float = Field(0.0, ge=0, le=0.1)
    """Standard deviation of the input offset voltage, V."""
    rail: float = Field(1.0, gt=0, le=100)
    """Largest differential output voltage, V."""


class Converter(Record):
    """A digital-to-analog or analog-to-digital converter: uniform quantiser over +-full_scale with its errors."""

    bits: int | None = Field(None, ge=1, le=24)
    """Resolution; none is a converter without quantisation."""
    full_scale: float = Field(1.0, gt=0, le=100)
    """Largest magnitude that is converted, V; beyond it the converter clips."""
    gain_error: float = Field(0.0, ge=0, le=0.2)
    """Standard deviation over dies of the relative gain error."""
    offset: float = Field(0.0, ge=0, le=0.1)
    """Standard deviation over channels of the offset, V."""
    noise: float = Field(0.0, ge=0, le=0.1)
    """Input-referred noise of one conversion, V rms."""
    max_gain: float = Field(1.0, ge=1, le=4096)
    """Largest gain of the programmable amplifier before an ADC (powers of two up to it); 1 is none."""


class Link(Record):
    """The digital side of the converters, for the timing model."""

    rate: float = Field(50e9, gt=0)
    """Digital transfer rate, bit/s."""
    word: int = Field(16, ge=1, le=64)
    """Bits that one transferred number takes."""


class Thermal(Record):
    """The die as a square grid of thermal cells between an ambient and a hot neighbour along its left edge."""

    johnson_noise: bool = True
    """Whether resistors make Johnson noise (off: a noiseless world for checks)."""
    reference: float = Field(300.15, gt=0, le=1000)
    """Temperature at which resistors have their nominal value, K."""
    ambient: float = Field(300.15, gt=0, le=1000)
    """Ambient temperature, K."""
    ambient_rms: float = Field(0.0, ge=0, le=100)
    """Standard deviation over dies of the ambient temperature, K."""
    cells: int = Field(8, ge=1, le=64)
    """Thermal cells along one side of the die."""
    to_ambient: float = Field(5e-4, gt=0)
    """Thermal conductance from each cell to the ambient, W/K."""
    to_neighbour: float = Field(0.01, ge=0)
    """Thermal conductance between adjacent cells, W/K."""
    hot_temperature: float = Field(360.0, gt=0, le=1000)
    """Temperature of the hot neighbour (a GPU beside the die), K."""
    to_hot: float = Field(0.0, ge=0)
    """Thermal conductance from each cell of the left edge to the hot neighbour, W/K: 0 is perfect isolation."""
    power: float = Field(0.0, ge=0)
    """Heat made in each cell, W."""
    heat_capacity: float = Field(2e-4, gt=0)
    """Heat capacity of each cell, J/K; 2e-4 is (5 mm / 8)^2 of silicon, 0.3 mm thick, at 1.63 MJ/(m^3 K)."""
    source: str = ""
    """Where the figures come from."""

    @classmethod
    def preset(cls, name: str) -> Thermal:
        """One of the named situations of a die: `isolated`, `packaged`, `beside a GPU`, `bare`.

        For `technology.replace(thermal=Thermal.preset(name))`.

        Raises:
            InputError: there is no situation of that name.
        """
        try:
            return SITUATIONS[name]
        except (KeyError, TypeError):
            raise InputError(f"thermal situation {name!r} is unknown; there are: {', '.join(SITUATIONS)}") from None


class Technology(Record):
    """Everything that the compiler and the device models need to know about the hardware.

    Raises `InputError` on construction when a field is unknown or out of range, naming it.
    """

    name: str = Field("custom", pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]{0,63}$")
    """Short name, used in reports."""
    source: str = ""
    """Where the figures come from."""
    resistors: Resistors = Resistors()
    capacitors: Capacitors = Capacitors()
    inductors: Inductors = Inductors()
    opamp: OpAmp = OpAmp()
    dac: Converter = Converter()
    adc: Converter = Converter()
    link: Link = Link()
    thermal: Thermal = Thermal()

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(_explain(error)) from None

    @classmethod
    def preset(cls, name: str) -> Technology:
        """One of the shipped technologies: `ideal`, `paper`, `breadboard`, `integrated`."""
        try:
            return PRESETS[name]
        except (KeyError, TypeError):
            raise InputError(f"technology preset {name!r} is unknown; there are: {', '.join(PRESETS)}") from None

    @classmethod
    def read(cls, path: str | Path) -> Technology:
        """Read a TOML or JSON file, told apart by its suffix. Fields left out keep their default."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
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
        write_atomically(path, self.model_dump_json(indent=2) if path.suffix == ".json" else self.to_toml())

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

    def fabricate(self, seed: int | None) -> Die:
        """One die: the same seed gives the same parts in every device model. None: a die without any mismatch."""
        from .die import Die

        return Die(self, seed)


def write_atomically(path: Path, text: str) -> None:
    """Write text beside the target and move it there, so that a crash cannot leave half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _explain(error: ValidationError) -> str:
    problems = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"]) or "technology"
        what = item["msg"].removeprefix("Value error, ")
        got = "" if item["type"] in ("missing", "extra_forbidden") else f", got {item['input']!r}"
        remedy = " (remove it or correct its spelling)" if item["type"] == "extra_forbidden" else ""
        problems.append(f"technology field {field}: {what}{got}{remedy}")
    return "; ".join(problems)


# All four: a die of 5 mm by 5 mm by 0.3 mm in 8 x 8 cells, so the silicon carries 148 W/(m K) * 0.3 mm = 0.044 W/K between neighbours.
# Order-of-magnitude figures from handbook constants, none of them measured on a device.
SITUATIONS: dict[str, Thermal] = {
    "isolated": Thermal(
        ambient_rms=0.1,
        to_ambient=4e-5,
        to_neighbour=0.044,
        to_hot=0.0,
        source="in an oven held to 0.1 K, on 3 mm of glass epoxy (0.3 W/(m K)) in still air (10 W/(m^2 K)): 390 K/W in all; "
        "nothing hot is near, and its own heat hardly leaves",
    ),
    "packaged": Thermal(
        ambient_rms=2.0,
        to_ambient=5e-4,
        to_neighbour=0.044,
        to_hot=1e-4,
        source="QFN with a soldered pad on a four-layer board, 31 K/W in all (data sheets: 25 to 40); a GPU at 360 K some 5 cm "
        "away, whose heat is mostly lost on the way",
    ),
    "beside a GPU": Thermal(
        ambient=318.15,
        ambient_rms=5.0,
        to_ambient=5e-4,
        to_neighbour=0.044,
        to_hot=3e-3,
        source="the same package in 45 C air, 5 mm from a GPU at 360 K: two 35 um copper planes (390 W/(m K), 0.027 W/K a square) "
        "over an eighth of a square for each cell of the edge",
    ),
    "bare": Thermal(
        ambient=318.15,
        ambient_rms=5.0,
        to_ambient=4e-3,
        to_neighbour=0.044,
        to_hot=1e-2,
        source="no package: 1 mm from a GPU at 360 K on 0.1 mm of silicon interposer (148 W/(m K)), under its cooler, which takes "
        "0.5 W/mm^2 at 45 K, 11 kW/(m^2 K)",
    ),
}
"""Named thermal situations, from well isolated from the neighbour to not at all; see `Thermal.preset`."""


PRESETS: dict[str, Technology] = {
    tech.name: tech
    for tech in (
        Technology(
            name="ideal",
            source="perfect parts: no tolerance, no noise, infinite gain and resolution",
            thermal=Thermal(johnson_noise=False),
        ),
        Technology(
            name="paper",
            source="timing model of arXiv:2405.13817: 1 kOhm, 1 nF, 16 bit, 50 Gb/s; amplifiers not stated there: ideal",
            dac=Converter(bits=16),
            adc=Converter(bits=16, max_gain=64),
        ),
        Technology(
            name="breadboard",
            source="1 % metal film (E96, 100 ppm/K), 5 % film capacitors, typical values of the TL072 op-amp, 12 bit converters",
            resistors=Resistors(unit=1e3, tolerance=0.005, tc1=1e-4, series="E96"),
            capacitors=Capacitors(unit=1e-8, tolerance=0.025),
            opamp=OpAmp(gain=2e5, gbw=3e6, offset=3e-3, rail=10.0),
            dac=Converter(bits=12, full_scale=10.0, gain_error=1e-3, offset=1e-3),
            adc=Converter(bits=12, full_scale=10.0, gain_error=1e-3, offset=1e-3, noise=5e-4, max_gain=64),
            thermal=Thermal(ambient_rms=2.0, to_neighbour=2e-3, to_ambient=1e-3, to_hot=1e-4),
        ),
        Technology(
            name="integrated",
            source="representative of a CMOS array (1 % matching, 66 dB amplifiers, 8 bit); no foundry's data",
            resistors=Resistors(unit=1e4, tolerance=0.01, tc1=1e-3, bits=8),
            capacitors=Capacitors(unit=1e-11, tolerance=0.005),
            opamp=OpAmp(gain=2e3, gbw=5e8, offset=5e-4, rail=1.0),
            dac=Converter(bits=8, gain_error=2e-3, offset=5e-4),
            adc=Converter(bits=8, gain_error=2e-3, offset=5e-4, noise=5e-4, max_gain=64),
            thermal=Thermal(ambient_rms=2.0, to_hot=1e-4),
        ),
    )
}
