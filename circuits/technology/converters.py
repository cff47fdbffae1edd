"""The records of a technology's converters and of the link to them; `technology` has them under its own name, too."""

from __future__ import annotations

import math
from typing import Self

from pydantic import Field, model_validator

from ..records import Record


class Converter(Record):
    """A digital-to-analog or analog-to-digital converter: uniform quantiser over +-full_scale with its errors.

    Its analog side is a resistor and a capacitor: a DAC's output, in the extracted netlist of an array; an ADC's sampling switch and hold
    capacitor, in a netlist of your own only (`sampling.add_sample_and_hold`). `Technology` rejects what nothing built from it would heed:
    a DAC's noise, bandwidth, max_gain and leakage, and an ADC's resistance, capacitance and leakage.
    """

    bits: int | None = Field(default=None, ge=1, le=24)
    """Resolution; none is a converter without quantisation."""
    full_scale: float = Field(default=1.0, gt=0, le=100)
    """Largest magnitude that is converted, V; beyond it the converter clips."""
    gain_error: float = Field(default=0.0, ge=0, le=0.2)
    """Standard deviation over dies of the relative gain error, the same for all channels."""
    gain_mismatch: float = Field(default=0.0, ge=0, le=0.2)
    """Standard deviation over channels of the relative gain error that each has on top of it."""
    offset: float = Field(default=0.0, ge=0, le=0.1)
    """Standard deviation over channels of the offset, V."""
    inl: float = Field(default=0.0, ge=0, le=0.1)
    """Standard deviation over channels of the smooth integral nonlinearity's peak, share of full_scale (`host.nonlinearity`)."""
    dnl: float = Field(default=0.0, ge=0, le=1.0)
    """Standard deviation of the steps between adjacent codes, LSB: the converter's unit elements scatter by that much."""
    noise: float = Field(default=0.0, ge=0, le=0.1)
    """Input-referred noise of one conversion of an ADC, V rms."""
    bandwidth: float = Field(default=math.inf, gt=0)
    """Bandwidth of an ADC's sampler, Hz: one pole before the sample; inf: it takes what is there at the instant."""
    max_gain: float = Field(default=1.0, ge=1, le=4096)
    """Largest gain of the programmable amplifier before an ADC (powers of two up to it); 1 is none."""
    attenuations: int = Field(default=1, ge=1, le=16)
    """Settings 1, 1/2, 1/4, ... of the attenuator between a DAC and what it drives, one for all channels: the host takes the smallest at
    which no drive is beyond the full scale (`host.converters.Dac`). 1: there is none."""
    attenuation_error: float = Field(default=0.0, ge=0, le=0.2)
    """Standard deviation over dies of the relative error of each of its ratios but the first."""
    resistance: float = Field(default=0.0, ge=0, le=1e6)
    """Output resistance of a DAC; on-resistance of the sampling switch in `add_sample_and_hold`, ohm."""
    capacitance: float = Field(default=0.0, ge=0, le=1e-3)
    """Capacitance at a DAC's output; hold capacitor in `add_sample_and_hold`, F."""
    leakage: float = Field(default=0.0, ge=0, le=1.0)
    """Conductance of the open sampling switch in `add_sample_and_hold`, S."""
    figure_of_merit: float = Field(default=0.0, ge=0, le=1e-6)
    """Walden's figure of merit, J for each of the 2^bits steps of one conversion; 0: not stated, and costs nothing."""
    rate: float = Field(default=math.inf, gt=0)
    """Conversions a second of one converter; inf: as fast as its words arrive."""
    count: int | None = Field(default=None, ge=1)
    """Converters of this kind, which the cells share; none: one for each cell."""

    @model_validator(mode="after")
    def _steps_need_codes(self) -> Self:
        if self.dnl > 0 and self.bits is None:
            raise ValueError("dnl is the scatter of the steps between codes: set bits, too, or use inl")
        return self


class Link(Record):
    """The digital side of the converters, for the timing model."""

    rate: float = Field(default=50e9, gt=0)
    """Digital transfer rate, bit/s."""
    word: int = Field(default=16, ge=1, le=64)
    """Bits that one transferred number takes."""
    energy: float = Field(default=0.0, ge=0, le=1e-3)
    """J for each bit; 0: not stated, and costs nothing."""
