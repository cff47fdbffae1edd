"""The parts of many dies at once, and the first-order law of their circuits, in torch: batched over dies and differentiable.

Deviates and temperatures are those of `circuits.technology.die`, drawn once for each die and size; what a card's parameters make of them is

    conductance = nominal exp(-mismatch z - shift) / drift,        capacitance = nominal exp(capacitor_mismatch z + shift),

as in `ArrayParts.on_die`, and then the errors of programmed conductances, and the law is that of `cell_law.cell_law` without a layout
(tests hold both against each other). Parameters are numbers, or tensors of shape () or (dies, 1): gradients flow to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from scipy.constants import Boltzmann
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...compiler.fabrics.array import ArrayParts, drive_deviates
from ...compiler.inverters import Inverters
from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..devices.amplifier_noise import VoltageNoise, amplifier_lags, noisy_inverters, voltage_noise
from ..devices.flicker import Section, amplifier_sections
from ..estimate import RANGES
from .errors import NO_ERRORS, Errors

PARAMETERS = tuple(RANGES)
"""The continuous parameters of a card."""
Parameter = float | Tensor
"""A number, or a tensor of shape () or (dies, 1)."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Deviates and temperatures of many dies for arrays of n unknowns.

    Attributes:
        coupling, ground, drive, capacitor: standard normal deviates, (dies, rails, n, n) or (dies, rails, n); offset: (dies, n).
        second: of the second slice's resistors, as coupling; (dies, 1, 0, 0) where there is one slice.
        inverter: of the inverters' resistors, (dies, 2, n), and inverter_offset, (dies, n); n is 0 where there are none.
        amplifier_ratios, inverter_ratios: gain and gain-bandwidth product of the cells' and the inverters' amplifiers over the
            technology's, (dies, 2, n).
        coupling_factor, ground_factor, drive_factor: what temperature, shift and gradient make of conductances, (dies, n, n) or (dies, n);
        capacitor_factor: of capacitances, (dies, n).
        coupling_temperature, ground_temperature, drive_temperature: temperatures, K, of the same shapes.
    """

    coupling: Tensor
    ground: Tensor
    drive: Tensor
    capacitor: Tensor
    offset: Tensor
    coupling_factor: Tensor
    ground_factor: Tensor
    drive_factor: Tensor
    capacitor_factor: Tensor
    coupling_temperature: Tensor
    ground_temperature: Tensor
    drive_temperature: Tensor
    second: Tensor
    inverter: Tensor
    inverter_offset: Tensor
    amplifier_ratios: Tensor
    inverter_ratios: Tensor

    def of(self, dies: slice) -> Stack:
        """The dies from one place to another."""
        return Stack(**{name: values[dies] for name, values in vars(self).items()})


def stack(
    dies: Sequence[Die],
    parts: ArrayParts,
    symmetric: bool,
    dtype: torch.dtype,
    progress: Callable[[int, int], None] | None,
) -> Stack:
    """Draw every die for parts of this size and number of rails; `progress` is called with (dies drawn, dies)."""
    n, rails = parts.size, len(parts.drive)
    inverted = n if parts.has_inverters else 0
    place, edge, upper = (np.arange(n) + 0.5) / n, np.ones(n), np.triu(np.ones((n, n), dtype=bool))
    columns: dict[str, list[np.ndarray]] = {name: [] for name in Stack.__dataclass_fields__}
    for count, unsupplied in enumerate(dies, start=1):
        die = parts.supplied(unsupplied)
        coupling = die.deviates("coupling", (rails, n, n))
        if symmetric:
            coupling = np.where(upper, coupling, coupling.transpose(0, 2, 1))
        drawn = {
            **_warmed(die, n, symmetric),
            "coupling": coupling,
            "ground": die.deviates("ground", (rails, n)),
            "drive": die.deviates("drive", (rails, n)),
            "capacitor": die.deviates("capacitor", (rails, n)),
            "offset": die.deviates("offset", (1, n))[0],
            "capacitor_factor": np.exp(die.capacitor_shift(place, edge if parts.drive_nominal else place)),
            "second": die.deviates("second_slice", parts.second.shape) if parts.slices == 2 else parts.second,
            "inverter": die.deviates("inverter", (2, n)) if inverted else np.zeros((2, 0)),
            "inverter_offset": die.deviates("inverter_offset", (1, n))[0] if inverted else np.zeros(0),
            "amplifier_ratios": die.amplifier_ratios("offset", np.arange(n)),
            "inverter_ratios": die.amplifier_ratios("inverter_offset", np.arange(inverted)),
        }
        for name, values in drawn.items():
            columns[name].append(values)
        if progress is not None:
            progress(count, len(dies))
    return Stack(**{name: torch.from_numpy(np.stack(values)).to(dtype) for name, values in columns.items()})


def at_temperatures(stacked: Stack, dies: Sequence[Die], symmetric: bool) -> Stack:
    """A stack with its dies at other temperatures: all else of them is the same."""
    n, dtype = stacked.coupling.shape[-1], stacked.coupling.dtype
    found = [_warmed(die, n, symmetric) for die in dies]
    columns = {name: torch.from_numpy(np.stack([one[name] for one in found])).to(dtype) for name in found[0]}
    return replace(stacked, **columns)


def _warmed(die: Die, n: int, symmetric: bool) -> dict[str, np.ndarray]:
    """Those attributes of `Stack` that the temperatures of a die are in."""
    place, edge = (np.arange(n) + 0.5) / n, np.ones(n)
    temperature, shift = (of(place[:, None], place[None, :]) for of in (die.temperature_of, die.resistor_shift))
    if symmetric:
        upper = np.triu(np.ones((n, n), dtype=bool))
        temperature, shift = np.where(upper, temperature, temperature.T), np.where(upper, shift, shift.T)
    ground, inputs = die.temperature_of(place, place), die.temperature_of(place, edge)
    return {
        "coupling_factor": np.exp(-shift) / die.temperature_factor(temperature),
        "ground_factor": np.exp(-die.resistor_shift(place, place)) / die.temperature_factor(ground),
        "drive_factor": np.exp(-die.resistor_shift(place, edge)) / die.temperature_factor(inputs),
        "coupling_temperature": temperature,
        "ground_temperature": ground,
        "drive_temperature": inputs,
    }


def with_drive(stacked: Stack, dies: Sequence[Die], parts: ArrayParts) -> Stack:
    """A stack of the same dies with the deviates of other input resistors, those of `parts`."""
    rails, n = parts.drive.shape
    drawn = np.stack([drive_deviates(die, parts.drive_nominal, rails, n) for die in dies])
    return replace(stacked, drive=torch.from_numpy(drawn).to(stacked.drive.dtype))


@dataclass(frozen=True, eq=False)
class StackedLaw:
    """dv/dt = F v + u + white noise of covariance Q dt of many dies; see `cell_law.CellLaw`.

    Attributes:
        drift: F, (dies, n, n) 1/s. delay: D, (dies, n) s, a diagonal, or with inverters (dies, n, n).
        slow: what turns currents into dv/dt, (dies, n, n) 1/F.
        driven: (dies, n): gain times realised over nominal drive. pushed: by offsets, (dies, n) A.
        diffusion: Q, (dies, n, n) V^2/s.
        conductance: what has to be positive for the circuit to be stable, (dies, n, n) S: K + L / A0 with the technology's A0, or, in
            passive fabrics, K, whose comparison matrix does. capacitance: (dies, n) F.
        loads: what amplifiers' outputs drive, (dies, kinds, n) S, as `Parts.amplifier_loads`: cells, then inverters.
        active: whether amplifiers hold the state.
        voltage: white noise voltages at the amplifiers' inputs; None: there are none.
        sections: of their 1/f noise, in units of each die's noise power.
    """

    drift: Tensor
    delay: Tensor
    slow: Tensor
    driven: Tensor
    pushed: Tensor
    diffusion: Tensor
    conductance: Tensor
    capacitance: Tensor
    loads: Tensor
    active: bool
    voltage: VoltageNoise | None = None
    sections: tuple[Section, ...] = ()

    def of(self, rows: np.ndarray) -> StackedLaw:
        """The law of some of the dies."""
        picked = torch.from_numpy(rows)
        some: dict[str, Any] = {name: value[picked] for name, value in self.tensors().items()}
        if (white := self.voltage) is not None:
            some["voltage"] = VoltageNoise(*(one[picked] if one.dim() else one for one in white))
        some["sections"] = tuple(
            one._replace(slow=one.slow[picked], share=None if one.share is None else one.share[picked])
            for one in self.sections
        )
        return replace(self, **some)

    def tensors(self) -> dict[str, Tensor]:
        """The attributes that have a row for each die."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}


def parameters_of(
    card: DeviceCard, given: Mapping[str, Parameter | None], dtype: torch.dtype, dies: int
) -> dict[str, Tensor]:
    """The card's continuous parameters as tensors of shape () or (dies, 1), with those that are given in their place.

    Raises:
        InputError: what is no number or tensor of such a shape, or a value outside of `RANGES`.
    """
    values = {name: getattr(card, name).value for name in PARAMETERS}
    values |= {name: value for name, value in given.items() if value is not None}
    return {name: _parameter(name, value, dies).to(dtype) for name, value in values.items()}


def _parameter(name: str, value: Any, dies: int) -> Tensor:
    """A checked parameter, in its own type."""
    if not isinstance(value, Tensor):
        try:
            value = torch.tensor(float(value), dtype=torch.float64)
        except (TypeError, ValueError):
            raise InputError(f"parameter {name} is {value!r:.60}: give a number or a tensor of numbers") from None
    if value.is_complex() or value.dtype == torch.bool:
        raise InputError(f"parameter {name} is of type {value.dtype}: give real numbers")
    if value.numel() == 1:
        value = value.reshape(())
    if value.shape not in ((), (dies, 1)):
        raise InputError(
            f"parameter {name} has shape {tuple(value.shape)}: give one number, or a tensor of shape ({dies}, 1), a row for each die"
        )
    for place, one in enumerate(value.detach().reshape(-1).tolist()):
        if one not in RANGES[name]:
            where = f" of dies[{place}]" if value.ndim else ""
            raise InputError(f"parameter {name}{where} is {one:g}: give {RANGES[name]}")
    return value


def stacked_law(program: AnalogProgram, stacked: Stack, p: dict[str, Tensor], erring: Errors = NO_ERRORS) -> StackedLaw:
    """The law of a nominal program on all dies of a stack, with parameters p of `parameters_of` and errors of `errors_of`."""
    parts = cast("ArrayParts", program.parts)
    dtype = stacked.coupling.dtype

    def nominal(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=float)).to(dtype)

    # Parameters of shape (dies, 1) meet arrays of two, three and four axes.
    mismatch = p["mismatch"]
    wide = mismatch.reshape(*mismatch.shape, 1) if mismatch.ndim else mismatch
    wider = wide.reshape(*wide.shape, 1) if mismatch.ndim else mismatch

    def held(kind: str, values: Tensor, factor: Tensor) -> Tensor:
        """Conductances as a programming leaves them, mean of the rails."""
        if kind not in erring:
            return values.mean(1) * factor
        return erring[kind].applied(values * factor.unsqueeze(1)).mean(1)

    coupling = held("coupling", nominal(parts.coupling) * torch.exp(-wider * stacked.coupling), stacked.coupling_factor)
    capacitor = p["capacitor_mismatch"]
    capacitor = capacitor.reshape(*capacitor.shape, 1) if capacitor.ndim else capacitor
    capacitance = (nominal(parts.capacitance) * torch.exp(capacitor * stacked.capacitor)).mean(1)
    capacitance = capacitance * stacked.capacitor_factor
    polarity = nominal(parts.polarity)
    signed = polarity * coupling
    if parts.slices == 2:
        lesser = nominal(parts.second) * torch.exp(-wider * stacked.second)
        fine = held("second_slice", lesser, stacked.coupling_factor)
        signed, coupling = signed + nominal(parts.second_polarity) * fine, coupling + fine
    loads = coupling.sum(-2, keepdim=True)
    noisy = coupling * stacked.coupling_temperature
    rails = len(parts.drive)
    if parts.drive_nominal:  # amplifiers hold the state
        drive = (nominal(parts.drive) * torch.exp(-wide * stacked.drive)).mean(1) * stacked.drive_factor
        load = coupling.sum(-1) + drive
        conductance, driven = signed, drive / parts.drive_nominal
        noise_psd = torch.diag_embed(2 * rails * Boltzmann * (noisy.sum(-1) + drive * stacked.drive_temperature))
    else:
        ground = held("ground", nominal(parts.ground) * torch.exp(-wide * stacked.ground), stacked.ground_factor)
        load, driven, loads = torch.zeros_like(ground), torch.ones_like(ground), loads[:, :0]
        conductance = polarity * coupling + torch.diag_embed(ground + coupling.sum(-1))
        on_diagonal = torch.diag_embed(ground * stacked.ground_temperature + noisy.sum(-1))
        noise_psd = 2 * rails * Boltzmann * (polarity * noisy + on_diagonal)
    pushed, inverters = load * p["offset"] * stacked.offset, None
    if parts.has_inverters:
        given, back = (nominal(parts.inverter) * torch.exp(-wide * stacked.inverter)).unbind(1)
        given, back = given * stacked.drive_factor, back * stacked.drive_factor
        negative = torch.where(polarity < 0, coupling, 0.0)
        inverted = negative.sum(-2)
        added = torch.stack([given, back], 1) * (inverted > 0).unsqueeze(1)
        loads = torch.stack([loads[:, 0] - inverted, inverted], 1) + added
        inverters = Inverters.of_resistors(
            negative,
            given,
            back,
            stacked.drive_temperature,
            p["offset"] * stacked.inverter_offset,
            (stacked.inverter_ratios[:, 0], stacked.inverter_ratios[:, 1]),
        )
        pushed = pushed + inverters.offset_currents(p["leak"])
        conductance = torch.where(polarity < 0, conductance * inverters.ratio.unsqueeze(-2), conductance)
    judged = conductance
    if parts.drive_nominal:
        leak = 1.0 / program.technology.opamp.gain
        judged = conductance + torch.diag_embed(load / program.technology.opamp.gain)
        judged = judged if inverters is None else judged + inverters.added(leak, 0.0, 0.0)[0]
    first, second = p["lag"] + p["leak"] * p["pole"], p["lag"] * p["pole"]
    own_gain, own_gbw = stacked.amplifier_ratios.unbind(1)
    own_leak, own_second = p["leak"] / own_gain, second / own_gbw
    own_first = p["lag"] / own_gbw + own_leak * p["pole"]
    conductance = conductance + torch.diag_embed(own_leak * load)
    effective_capacitance = (1 + own_leak) * capacitance + own_first * load
    second_order = own_first * capacitance + own_second * load
    delay, fast = second_order / effective_capacitance, torch.diag_embed(effective_capacitance)
    # Where there is no second pole second_order may be zero.
    late = own_second * capacitance / torch.where(second_order > 0, second_order, 1.0)
    if inverters is None:
        slowed = fast - delay.unsqueeze(-1) * conductance
    else:
        leaking, slowing, lagging = inverters.added(p["leak"], first, second)
        conductance, fast = conductance + leaking, fast + slowing
        lag = torch.diag_embed(second_order) + lagging
        delay = torch.linalg.solve_ex(fast, lag)[0]
        slowed = fast - lag @ torch.linalg.solve_ex(fast, conductance)[0]
    # A die whose parts are beyond the numbers must not stop the others: its law is not finite, which the host sees.
    slow, _ = torch.linalg.inv_ex(slowed)
    power = p["noise_power"]
    noise = power.reshape(*power.shape, 1) if power.ndim else power
    if inverters is not None:
        if parts.drive_nominal:
            inverters = noisy_inverters(inverters, program.technology.opamp)
        noise_psd = noise_psd + inverters.current_noise(p["leak"])
    voltage, sections = None, tuple[Section, ...]()
    if parts.drive_nominal:
        opamp = program.technology.opamp
        noise_psd = noise_psd + rails * opamp.noise_current**2 / 2 * torch.eye(parts.size, dtype=dtype)
        share = slow * capacitance.unsqueeze(-2)
        unsettled = torch.diag_embed(load) - conductance @ share
        if opamp.noise_voltage > 0:
            noise_psd = noise_psd + opamp.noise_voltage**2 / 2 * unsettled @ unsettled.mT
            figures = amplifier_lags(opamp, p["leak"], p["lag"], p["pole"])
            density = power * opamp.noise_voltage**2 / 2
            inertia = fast.diagonal(dim1=-2, dim2=-1)
            voltage = voltage_noise(density, capacitance, load, inertia, conductance, *figures)
        # The root of zero has no slope.
        scale = torch.where(noise > 0, noise, 1.0).sqrt() * (noise > 0)
        sections = tuple(
            Section(
                torch.from_numpy(one.deviations),
                torch.from_numpy(one.rates),
                scale * (slow @ (unsettled if one.is_voltage else one.currents)),
                scale * share if one.is_voltage else None,
            )
            for one in amplifier_sections(torch.diag_embed(load), inverters, opamp, rails, p["leak"])
        )
    faster = fast - late.unsqueeze(-1) * conductance if bool((second > 0).any()) else fast
    spread = slow @ torch.linalg.solve_ex(faster, (noise * noise_psd).mT)[0].mT
    if inverters is not None:
        missing = noise * inverters.unfollowed_noise(p["leak"], first, second)
        held = torch.linalg.solve_ex(fast, torch.linalg.solve_ex(fast, missing)[0].mT)[0]
        spread = spread - 2 * slow @ conductance @ held
    return StackedLaw(
        drift=-slow @ conductance,
        delay=delay,
        slow=slow,
        driven=p["gain"] * driven,
        pushed=pushed,
        diffusion=(spread + spread.mT) / 2,
        conductance=judged,
        capacitance=capacitance,
        loads=loads,
        active=parts.drive_nominal > 0,
        voltage=voltage,
        sections=sections,
    )
