"""The records of a technology's parts: how they are made, how they vary, and what surrounds them."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from ..records import Record
from .transistor_mismatch import TransistorMismatch, offset_deviation

Series = Literal["E6", "E12", "E24", "E48", "E96", "E192"]

PROGRAMMING_ERRORS = ("range_error", "write_noise", "relative_write_noise", "read_noise")
"""Fields of `Resistors` that only programmable conductances have."""


def _one_way(direct: str, value: float, law: dict[str, float | None]) -> None:
    """Raise if a standard deviation is given both directly and by the area law, or by half of that law."""
    given, both = [name for name, figure in law.items() if figure is not None], " and ".join(law)
    if given and value > 0:
        raise ValueError(f"{direct} excludes {both}: set {direct} to 0, or leave {' and '.join(given)} out")
    if len(given) == 1:
        raise ValueError(f"{both} belong together: set both of them, or leave {given[0]} out")


class Variation(Record):
    """How the values of one kind of part vary about the nominal one, from die to die and over a die:

        ln(value / nominal) = die_to_die z_0 + gradient [z_1 (row - 1/2) + z_2 (column - 1/2)] + mismatch z_part

    with rows and columns from 0 to 1 across the die, and independent standard normal z: three for each die, and one for each part.

    Pelgrom's law (M. J. M. Pelgrom, A. C. J. Duinmaijer, A. P. G. Welbers, IEEE JSSC 24:1433, 1989) is one of pairs: at a distance D, the
    logarithm of a pair's ratio has the variance A^2 / area + S^2 D^2. Half of the first term is a single part's own, so that
    mismatch = A / sqrt(2 area); the second one is the gradient's, S = gradient / side of the die.
    """

    tolerance: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation of ln(value / nominal) of each part: 0.01 is 1 % (one sigma). Excludes pelgrom_coefficient and area."""
    pelgrom_coefficient: float | None = Field(default=None, gt=0, le=1.0)
    """Pelgrom's coefficient A of a pair, m: 1e-8 m is 1 % um."""
    area: float | None = Field(default=None, gt=0, le=1.0)
    """Area of one part, m^2, whatever its value."""
    die_to_die: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation over dies of the shift of ln(value) that all parts of a die share."""
    gradient: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation of the change of ln(value) from one edge of a die to the opposite one; each direction has its own."""

    @model_validator(mode="after")
    def _one_mismatch(self) -> Self:
        _one_way("tolerance", self.tolerance, {"pelgrom_coefficient": self.pelgrom_coefficient, "area": self.area})
        if self.mismatch > 0.5:
            raise ValueError(
                f"pelgrom_coefficient and area make a mismatch of {self.mismatch:.3g}, at most 0.5: set a larger area"
            )
        return self

    @property
    def mismatch(self) -> float:
        """Standard deviation of ln(value) of a part on its own: the tolerance, or A / sqrt(2 area)."""
        if self.pelgrom_coefficient is None or self.area is None:
            return self.tolerance
        return self.pelgrom_coefficient / math.sqrt(2 * self.area)


class Resistors(Variation):
    """The resistors, or programmable conductances, that hold the matrix."""

    unit: float = Field(default=1e3, gt=0, le=1e9)
    """Resistance of the largest matrix entry, ohm."""
    tc1: float = Field(default=0.0, ge=-0.02, le=0.02)
    """Linear temperature coefficient, 1/K."""
    tc2: float = Field(default=0.0, ge=-1e-3, le=1e-3)
    """Quadratic temperature coefficient, 1/K^2."""
    series: Series | None = None
    """Preferred-number series (IEC 60063) that values are rounded to; none: any value can be had."""
    bits: int | None = Field(default=None, ge=1, le=24)
    """Bits of a programmable conductance, codes uniform from 1/(unit on_off) to 1/unit; none: not programmable."""
    on_off: float | None = Field(default=None, gt=1, le=1e9)
    """Largest over smallest programmable conductance; none: codes start at 0. Below the smallest, a part is left out."""
    slices: int = Field(default=1, ge=1, le=2)
    """Programmable resistors at each crosspoint of a `crossbar`. The second one, of unit 2^bits unit, is programmed to what the first one
    lacks (`compiler.slices`): known values bring some 2^bits times more resolution, unknown mismatch none."""
    drive_ranges: int = Field(default=1, ge=1, le=16)
    """Input resistors that each cell of an active array can be driven through: unit, 2 unit, 4 unit, ...; chosen is the largest at which no
    drive is beyond the DAC's full scale (`drive_resistors`). In passive fabrics, driven by currents, the full-scale current is halved."""
    write_energy: float = Field(default=0.0, ge=0, le=1e-3)
    """J for writing each bit of a programmable conductance's code; 0: not stated, and costs nothing."""
    conductance_drift: float = Field(default=0.0, ge=-0.5, le=0.5)
    """Mean exponent nu of the drift of a programmed conductance, G(t) = G(0) (1 + t / t_0)^-nu
    (`devicemodel.devices.conductance_drift`): phase-change cells 0.049 to 0.1 (V. Joshi et al., Nature Communications 11:2473, 2020)."""
    conductance_drift_spread: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation of nu from part to part; there 0.008 to 0.045."""
    conductance_drift_time: float = Field(default=1.0, gt=0, le=1e9)
    """Time t_0 in that law, s."""
    range_error: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation of what each programmed conductance is off by at every programming alike, relative to the largest one, 1/unit:
    a fixed pattern of the die (`compiler.conductance_errors`)."""
    write_noise: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation of what each is off by anew at every programming, relative to the largest one. Phase-change cells 0.011 at small
    conductances to 0.043 (S. R. Nandakumar et al., ICECS 2019; AIHWKIT's `PCMLikeNoiseModel` has (0.263 + 1.965 x - 1.173 x^2) / 25 at x
    of the largest), oxide cells 0.009 to 0.052 (W. Wan et al., Nature 608:504, 2022; its `ReRamWan2022NoiseModel`)."""
    relative_write_noise: float = Field(default=0.0, ge=0, le=0.5)
    """The same relative to the programmed value: 0.011 of oxide cells that are verified to within 2 % (its `ReRamCMONoiseModel`)."""
    read_noise: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation, relative to the value, of what a conductance has fluctuated by from run to run, constant during each: a 1/f
    noise whose slowest part outlasts a run. Phase-change cells Q sqrt(ln((T + t) / 2 t)) after a time T, with t = 250 ns and Q from 0.0088
    (largest conductance) to 0.2: 0.034 after a second; oxide cells some 0.01 (AIHWKIT)."""

    @model_validator(mode="after")
    def _one_rounding(self) -> Resistors:
        if self.series is not None and self.bits is not None:
            raise ValueError("series and bits exclude each other: set one of them to none")
        if self.on_off is not None and self.bits is None:
            raise ValueError("on_off is the range of programmable conductances: set bits, too")
        if self.slices == 2 and self.bits is None:
            raise ValueError("slices = 2 are two programmable conductances at each crosspoint: set bits, too")
        for name in PROGRAMMING_ERRORS:
            if getattr(self, name) and self.bits is None:
                raise ValueError(
                    f"{name} = {getattr(self, name):g} is an error of programmable conductances, which resistors without bits are not: "
                    f"set bits, too, or {name} to 0 and a tolerance instead"
                )
        if (
            self.slices == 2
            and self.on_off is not None
            and self.bits is not None
            and self.on_off < 2 ** (self.bits - 1)
        ):
            raise ValueError(
                f"slices = 2 with on_off = {self.on_off:g}: a second slice does not reach over half of the smallest conductance; "
                f"at least 2^(bits - 1) = {2 ** (self.bits - 1)} is needed"
            )
        return self


class Capacitors(Variation):
    """The capacitors that hold the state."""

    unit: float = Field(default=1e-9, gt=0, le=1.0)
    """Capacitance of one state variable, farad."""


class Inductors(Variation):
    """The inductors of the passive oscillator fabrics, `lc` and `spu`."""

    unit: float = Field(default=1e-3, gt=0, le=1e3)
    """Inductance of the largest matrix entry (`lc`), or of every cell (`spu`), henry."""


class OpAmp(Record):
    """The amplifier of an active cell. Gain, bandwidth and offset are in every netlist; the rest in those with a `Macromodel`.

    Small signals: A(s) = A0 / ((1 + s A0 / (2 pi GBW)) (1 + s / (2 pi second_pole))). Noise densities are one-sided and referred to the
    input, as in data sheets; each is noise^2 (1 + corner / f).
    """

    outputs: Literal[1, 2] = 2
    """Number of outputs: 2 is fully differential, 1 single-ended. Fabrics that use one output take either, differential ones 2."""
    gain: float = Field(default=math.inf, gt=1)
    """Open-loop gain A0 at DC; inf is an ideal amplifier."""
    gbw: float = Field(default=math.inf, gt=0)
    """Gain-bandwidth product A0 f_1 of the dominant pole f_1, Hz; inf is an ideal amplifier."""
    offset: float = Field(default=0.0, ge=0, le=0.1)
    """Standard deviation of the input offset voltage, V. Excludes offset_pelgrom_coefficient and input_area."""
    offset_pelgrom_coefficient: float | None = Field(default=None, gt=0, le=1.0)
    """Pelgrom's coefficient A_VT of the input pair, V m: 5e-9 V m is 5 mV um."""
    input_area: float | None = Field(default=None, gt=0, le=1.0)
    """Gate area W L of one transistor of the input pair, m^2."""
    transistors: tuple[TransistorMismatch, ...] = ()
    """The transistors of each amplifier, whose own deviations make its offset, gain and bandwidth. Excludes `offset` and its area law."""
    output_limit: float = Field(default=1.0, gt=0, le=100)
    """Largest output voltage of either sign, differential where there are two outputs, V."""
    second_pole: float = Field(default=math.inf, gt=0)
    """Frequency of the second pole, Hz."""
    slew: float = Field(default=math.inf, gt=0)
    """Largest rate of change of the output, V/s."""
    output_resistance: float = Field(default=0.0, ge=0, le=1e6)
    """Resistance in series with each output, inside the feedback, ohm. A load takes its voltage from the output's range."""
    output_current: float = Field(default=math.inf, gt=0)
    """Largest current that each output supplies, of either sign, A; inf: any."""
    bias_current: float = Field(default=0.0, ge=-1e-3, le=1e-3)
    """Current that flows into each input, A."""
    noise_voltage: float = Field(default=0.0, ge=0, le=1e-3)
    """White noise voltage, V/sqrt(Hz)."""
    noise_voltage_corner: float = Field(default=0.0, ge=0, le=1e9)
    """Frequency at which the 1/f noise voltage equals the white one, Hz."""
    noise_current: float = Field(default=0.0, ge=0, le=1e-3)
    """White noise current of each input, A/sqrt(Hz)."""
    noise_current_corner: float = Field(default=0.0, ge=0, le=1e9)
    """Frequency at which the 1/f noise current equals the white one, Hz."""
    common_mode_gain: float = Field(default=math.inf, gt=1)
    """DC gain of the loop that holds the mean of two outputs; inf holds it ideally."""
    common_mode_gbw: float = Field(default=math.inf, gt=0)
    """Gain-bandwidth product of that loop, Hz."""
    common_mode_offset: float = Field(default=0.0, ge=-10, le=10)
    """What that loop holds the mean of the outputs at, V."""
    power: float = Field(default=0.0, ge=0, le=100)
    """Power that it takes from its supplies at rest, W."""
    standby: float | None = Field(default=None, ge=0, le=100)
    """Power that it takes while its array waits for the host, for codes or for converters, W; none: it stays on, and takes `power`."""
    supply: float = Field(default=0.0, ge=0, le=100)
    """Voltage of each of its two supplies, from the mean of the outputs, V: a load's current is drawn from it on top of `power`, as by an
    output stage of class AB; 0: not stated, and a load takes only what it dissipates itself."""

    @model_validator(mode="after")
    def _one_offset(self) -> OpAmp:
        law = {"offset_pelgrom_coefficient": self.offset_pelgrom_coefficient, "input_area": self.input_area}
        _one_way("offset", self.offset, law)
        if self.transistors and (self.offset or self.input_area is not None):
            raise ValueError(
                "transistors make the offset, which offset, offset_pelgrom_coefficient and input_area would state again: leave these out"
            )
        names = [one.name.lower() for one in self.transistors]
        if len(set(names)) < len(names):
            raise ValueError(
                f"transistors: {next(n for n in names if names.count(n) > 1)!r} is there twice; name each once"
            )
        if self.offset_mismatch > 0.1:
            volts = f"{self.offset_mismatch:.3g} V, at most 0.1 V"
            if self.transistors:
                raise ValueError(f"transistors make an offset of {volts}: give larger ones")
            raise ValueError(
                f"offset_pelgrom_coefficient and input_area make an offset of {volts}: set a larger input_area"
            )
        return self

    @model_validator(mode="after")
    def _within_supply(self) -> OpAmp:
        swing = self.output_limit / self.outputs
        if self.supply and swing > self.supply:
            raise ValueError(
                f"output_limit = {self.output_limit:g} V brings each output to {swing:g} V, beyond a supply of {self.supply:g} V: "
                f"set supply to {swing:g} or more, or output_limit to at most {self.outputs * self.supply:g}"
            )
        return self

    @property
    def offset_mismatch(self) -> float:
        """Standard deviation of the input offset voltage, V: offset, or A_VT / sqrt(input_area), or that which `transistors` make.

        An offset is the difference of a pair, as Pelgrom's law has it (see `Variation`): there is no factor of sqrt(2). By the area law
        it is that of the input pair alone; its load's mismatch is left out.
        """
        if self.transistors:
            return offset_deviation(self.transistors)
        if self.offset_pelgrom_coefficient is None or self.input_area is None:
            return self.offset
        return self.offset_pelgrom_coefficient / math.sqrt(self.input_area)


class Switches(Record):
    """The switches that connect programmable conductances to the lines of an array; in extracted netlists."""

    on_resistance: float = Field(default=0.0, ge=0, le=1e6)
    """Resistance of a closed switch, in series with each matrix resistor, ohm."""
    leakage: float = Field(default=0.0, ge=0, le=1e-3)
    """Conductance of an open switch, at each place of a crosspoint that holds no resistor, S."""


class Wires(Record):
    """The lines of an array and its parasitic capacitances; in extracted netlists."""

    segment_resistance: float = Field(default=0.0, ge=0, le=1e6)
    """Resistance of a line from its amplifier to the first crosspoint, and from each one to the next, ohm."""
    segment_capacitance: float = Field(default=0.0, ge=0, le=1e-6)
    """Capacitance to ground of that segment, F."""
    crosspoint_capacitance: float = Field(default=0.0, ge=0, le=1e-6)
    """Capacitance between a row line and a column line where they cross, F: four times at a crosspoint of a differential array."""
    input_capacitance: float = Field(default=0.0, ge=0, le=1e-6)
    """Capacitance to ground of each amplifier's input, F."""


class Thermal(Record):
    """The die as a square grid of thermal cells between an ambient and a hot neighbour along its left edge."""

    johnson_noise: bool = True
    """Whether resistors make Johnson noise (off: a noiseless world for checks)."""
    reference: float = Field(default=300.15, gt=0, le=1000)
    """Temperature at which resistors have their nominal value, K."""
    ambient: float = Field(default=300.15, gt=0, le=1000)
    """Ambient temperature, K."""
    ambient_rms: float = Field(default=0.0, ge=0, le=100)
    """Standard deviation of the ambient temperature, K: over dies, and over times far apart where it moves."""
    ambient_time: float = Field(default=math.inf, gt=0)
    """Correlation time of the ambient temperature, s, an Ornstein-Uhlenbeck process; inf: each die keeps its own."""
    dynamic: bool = False
    """Whether devices follow a die's temperatures in time, from run to run; else those of a steady die without the heat of resistors."""
    between_runs: float = Field(default=0.0, ge=0, le=1e6)
    """Time that passes after each run, for conversions, programming and the host, s."""
    cells: int = Field(default=8, ge=1, le=64)
    """Thermal cells along one side of the die."""
    to_ambient: float = Field(default=5e-4, gt=0)
    """Thermal conductance from each cell to the ambient, W/K."""
    to_neighbour: float = Field(default=0.01, ge=0)
    """Thermal conductance between adjacent cells, W/K."""
    hot_temperature: float = Field(default=360.0, gt=0, le=1000)
    """Temperature of the hot neighbour (a GPU beside the die), K."""
    to_hot: float = Field(default=0.0, ge=0)
    """Thermal conductance from each cell of the left edge to the hot neighbour, W/K: 0 is perfect isolation."""
    power: float = Field(default=0.0, ge=0)
    """Heat made in each cell, W, on top of that of a program's amplifiers and resistors."""
    amplifiers_apart: bool = False
    """Whether amplifiers are in packages of their own, away from the resistors; else each one's `OpAmp.power` is made at its place on the
    die."""
    heat_capacity: float = Field(default=2e-4, gt=0)
    """Heat capacity of each cell, J/K; 2e-4 is (5 mm / 8)^2 of silicon, 0.3 mm thick, at 1.63 MJ/(m^3 K)."""
    source: str = ""
    """Where the figures come from."""

    @model_validator(mode="after")
    def _moves(self) -> Self:
        for name, value, still in (
            ("ambient_time", self.ambient_time, math.inf),
            ("between_runs", self.between_runs, 0.0),
        ):
            if value != still and not self.dynamic:
                raise ValueError(
                    f"{name} is {value:g}, but temperatures do not move: set dynamic to true, or {name} to {still:g}"
                )
        return self
