"""`Imperfections`: what a crossbar does wrong, as the few figures that the law of its refinement takes.

In the units of the programmed matrix: a conductance of 1 is the largest that can be programmed, and the diagonal of an equilibrated system.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.constants import Boltzmann
from scipy.optimize import brentq

from ...circuits.amplifiers.output_stage import is_limited, share_of_limits
from ...circuits.errors import InputError
from ...circuits.technology.parts import OpAmp
from ...circuits.technology.presets import as_technology
from ...circuits.technology.technology import Technology
from ...compiler.fabrics.registry import fabric_named
from ...compiler.fabrics.requirements import array_for
from ...compiler.passes.quantise import code_step, smallest_code
from ...compiler.passes.slices import slices_of
from ..card import DeviceCard
from ..host.converters import step_of

PER_DECADE = {"E6": 6, "E12": 12, "E24": 24, "E48": 48, "E96": 96, "E192": 192}


@dataclass(frozen=True)
class Outputs:
    """Amplifiers that drive columns of an array.

    Attributes:
        opamp: their output resistance, current and range. unit: the largest conductance, S. rails: of a cell.
    """

    opamp: OpAmp
    unit: float
    rails: int

    def limit(self, load: float) -> float:
        """Largest voltage of a cell whose outputs drive so many unit conductances each, V."""
        conductance, most = load * self.unit / self.rails, self.opamp.output_limit

        def excess(volts: float) -> float:
            return float(share_of_limits(self.opamp, np.array([volts]), np.array([conductance * volts]))[0]) - 1

        return most if excess(most) <= 0 else float(brentq(excess, 0.0, most, xtol=1e-9 * most))


@dataclass(frozen=True)
class Imperfections:
    """Figures of one technology, all 0 (inf) for a perfect one. Conductances in units of the largest one.

    Attributes:
        code: distance of the programmable conductances; of two slices, of the second one's, and `first_code` of the first one's.
        least: smallest programmable conductance; below its half none is there.
        code_ratio: standard deviation of ln G that a series of preferred values leaves.
        mirrored: whether entries (i, j) and (j, i) are rounded alike.
        mismatch: standard deviation of ln G of an entry (in a differential array of two resistors' mean).
        inverted: whether amplifiers have one output, so that negative entries take their column from an inverter of two unit resistors.
        inverter_mismatch: standard deviation of the logarithm of an inverter's gain.
        scatter: standard deviation of an entry beyond these.
        redrawn, redrawn_scatter: parts of mismatch and scatter that a measurement of the die does not find, since they are drawn anew.
        leak: 1 / A0 of the amplifiers.
        lag: G_unit / (2 pi GBW C): what a conductance at an amplifier's input adds to its capacitor, relative to it.
        offset: standard deviation of the amplifiers' offset, V. drive_offset: of that of a drive, V.
        nulled: whether a bias drive holds them, to the DAC's step.
        limit: largest voltage of a cell that can be read, V. outputs: what drives the array; None: any load leaves the limit as it is.
        full_scale: of the DAC, V. drive_ranges: of input resistor and attenuator, each of half the drive of the one before.
        dac_step, adc_step: V; 0: no steps.
        adc_noise: of a conversion, V rms, with the amplifiers' white noise that each reading sees anew: of variance
            (e_n^2 / 4) / (1 / w + 1 / w_s) for the gain-bandwidth product w and a sampler's w_s (rad/s).
        johnson: rails k T / C, V^2. 0: none. amplifiers: e_n^2 G_unit / (4 C), V^2, of the white noise that cells integrate.
        gain: standard deviation of the gain of drive and reading together.
    """

    code: float = 0.0
    first_code: float = 0.0
    least: float = 0.0
    code_ratio: float = 0.0
    mirrored: bool = True
    mismatch: float = 0.0
    inverted: bool = False
    inverter_mismatch: float = 0.0
    scatter: float = 0.0
    redrawn: float = 0.0
    redrawn_scatter: float = 0.0
    leak: float = 0.0
    lag: float = 0.0
    offset: float = 0.0
    drive_offset: float = 0.0
    nulled: bool = False
    limit: float = math.inf
    outputs: Outputs | None = None
    full_scale: float = math.inf
    drive_ranges: int = 1
    dac_step: float = 0.0
    adc_step: float = 0.0
    adc_noise: float = 0.0
    johnson: float = 0.0
    amplifiers: float = 0.0
    gain: float = 0.0

    @classmethod
    def of(cls, hardware: Technology | DeviceCard | str, fabric: str | None = None) -> Self:
        """Those of a technology (or a preset's name), or of a card, whose fitted figures stand for the technology's.

        Args:
            hardware: of what arrays are made.
            fabric: "crossbar" or "crossbar_single"; None: the card's, or what the technology's amplifiers make.

        Raises:
            InputError: something else, an unknown preset or fabric, one without amplifiers or of oscillators.
        """
        card = hardware if isinstance(hardware, DeviceCard) else None
        technology = as_technology(card.technology if card else hardware)  # type: ignore[arg-type]
        resistors, opamp, dac, adc = technology.resistors, technology.opamp, technology.dac, technology.adc
        name = fabric or (card.fabric if card else array_for(technology))
        rails = fabric_named(name).outputs
        if not rails:
            raise InputError(
                f"fabric {name} has no amplifiers, and the law is that of an array of them: use a card of one"
            )
        if fabric_named(name).has_linear_law:
            has, is_of = ("cells of second order", "cells that relax")
            if fabric_named(name).takes_factors:
                has, is_of = ("arrays of factors", "one array")
            raise InputError(
                f"fabric {name} has {has}, and the law is that of {is_of}: give a card of a crossbar, or measure with dies (`Refined`, "
                "whose residuals bound the error)"
            )
        mismatch = card.mismatch.value if card else resistors.mismatch
        redrawn = (resistors.relative_write_noise, resistors.read_noise)
        unit, finest = 1.0 / resistors.unit, slices_of(resistors)[-1]
        lag = card.lag.value if card else 1.0 / (2 * math.pi * opamp.gbw)
        power = (card.noise_power.value if card else 1.0) if technology.thermal.johnson_noise else 0.0
        return cls(
            code=code_step(finest) / unit if finest.bits is not None else 0.0,
            first_code=code_step(resistors) / unit if resistors.slices == 2 else 0.0,
            least=smallest_code(finest) / unit if finest.bits is not None else 0.0,
            code_ratio=math.log(10) / PER_DECADE[resistors.series] / math.sqrt(12) if resistors.series else 0.0,
            mismatch=math.hypot(mismatch, *redrawn) / math.sqrt(rails),
            redrawn=math.hypot(*redrawn) / math.sqrt(rails),
            scatter=math.hypot(resistors.range_error, resistors.write_noise) / math.sqrt(rails),
            redrawn_scatter=resistors.write_noise / math.sqrt(rails),
            inverted=rails == 1,
            inverter_mismatch=mismatch * math.sqrt(2) if rails == 1 else 0.0,
            leak=card.leak.value if card else 1.0 / opamp.gain,
            lag=lag * unit / technology.capacitors.unit,
            offset=card.offset.value if card else opamp.offset_mismatch,
            drive_offset=dac.offset,
            limit=min(opamp.output_limit, adc.full_scale),
            outputs=Outputs(opamp, unit, rails) if is_limited(opamp) else None,
            full_scale=dac.full_scale,
            # To the DAC's steps and offsets an attenuator's settings are further ranges.
            drive_ranges=resistors.drive_ranges + dac.attenuations - 1,
            dac_step=step_of(dac),
            adc_step=step_of(adc),
            adc_noise=math.sqrt(adc.noise**2 + power * _direct_noise(technology, lag)),
            johnson=power * rails * Boltzmann * technology.thermal.ambient / technology.capacitors.unit,
            amplifiers=power * opamp.noise_voltage**2 * unit / (4 * technology.capacitors.unit),
            gain=math.hypot(dac.gain_error, adc.gain_error, dac.gain_mismatch, adc.gain_mismatch),
        )

    def verified(self, repeatability: float = 0.0) -> Self:
        """Codes chosen for the conductances that the die was measured to have: their mismatch gives way to that of the measurement, half a
        step is left, drawn for each entry, of two slices the unmeasured second one's mismatch, and what is drawn anew at each programming.

        Args:
            repeatability: standard error of a measured ln G (`CellTable.repeatability`).
        """
        _check("repeatability", repeatability)
        second = self.first_code / math.sqrt(12) * self.mismatch
        scatter, mismatch = math.hypot(self.redrawn_scatter, second), math.hypot(self.redrawn, repeatability)
        return dataclasses.replace(self, mirrored=False, mismatch=mismatch, scatter=scatter)

    def leak_compensated(self, left: float = 0.0) -> Self:
        """The predicted L / A0 taken off the programmed diagonal, but for a share `left`, such as the spread of A0."""
        _check("left", left)
        return dataclasses.replace(self, leak=self.leak * left)

    def offsets_nulled(self) -> Self:
        """A bias drive against the offsets of amplifiers and DAC (`ReadOut(null_offsets=True)`): the DAC's rounding of it is left."""
        return dataclasses.replace(self, nulled=True)


def _direct_noise(technology: Technology, lag: float) -> float:
    """Variance, V^2, of the white noise that one reading sees anew."""
    square = technology.opamp.noise_voltage**2
    slowness = (lag or 1 / (2 * math.pi * technology.opamp.gbw)) + 1 / (2 * math.pi * technology.adc.bandwidth)
    if square == 0:
        return 0.0
    return square / (4 * slowness) if slowness > 0 else math.inf


def _check(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} is {value!r}: give a finite number >= 0")
