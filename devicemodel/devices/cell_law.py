"""The first-order law of the cells of a calibrated device, and where it takes them.

With the coefficients K, L, C, K_1, L_1 of the same parts that the SPICE device would build for this die (same seed, same places; see
`cell_coefficients`), and with amplifiers of A(s) = 1 / (leak + s lag), each followed by a pole 1 / (1 + s pole), the cells obey

    [T s^3 + P s^2 + M s + K'] v = gain drive I + L Vos + noise,      l_1 = lag + leak pole,  l_2 = lag pole,

    K' = K + leak L,  M = C (1 + leak) + K_1 + leak L_1 + l_1 L,  P = l_1 (C + L_1) + l_2 L,  T = l_2 C.

Inverters of a single-ended array, whose outputs drive a current k n into the cells, have the gains h_0 + h_1 s + h_2 s^2 + ...
(`compiler.inverters`) and add k (r - h_0) to K', -k h_1 to M and -k h_2 to P.

The terms of higher order are small, since amplifiers are faster than the array, and reduce to a law of n states. On the slow motion
s^2 P = -s P M^-1 K' to first order. An output at rest has no slope at first; P dv/dt + M v, which does not change while it picks up speed,
says from where the slow motion sets out:

    (M - P M^-1 K') dv/dt = -K' v + gain drive I + L Vos,      v(0) = v_0 - D dv/dt(0),      D = M^-1 P.

Noise of density S enters with (1/2) [(M - P M^-1 K')^-1 S M_3^-T + transposed], M_3 = M - T P^-1 K', so that the voltages at rest have
the variance S / (2 K' M_3) of the full law (exact for one cell); P is here without inverters. These filter their own noise: with
S = k N k^T the covariance at rest is M^-1 k N E k^T M^-T less, E the seconds of `inverters.unfollowed`.

States of the amplifiers' own, 2 n or 3 n in all, gain nothing that could be seen: with the figures of the `integrated` preset this is
within 2e-6 of the full law, and without D within 5e-4. With inverters and the figures of `breadboard` it is within 6e-5 of the full law
of 3 n states, at the start where all couplings are negative, else 5e-6; the covariance at rest within 4e-5 in every direction.

Amplifiers' own noise is a current noise L - K' M^-1 C times their input noise in this law, and more at the outputs (`amplifier_noise`,
`flicker`). Where the card's lag is zero, amplifiers that respond at once, it still has the bandwidth of the technology's.

leak = 1/A0, lag = 1/(2 pi GBW), pole = 1/(2 pi f_2), the standard deviations of mismatch and offset, the gain and the noise power are the
`DeviceCard`'s; die-to-die variation and gradient are those of the card's technology.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..ou.doubling import Transition, transition
from .amplifier_noise import (
    VoltageNoise,
    amplifier_lags,
    direct_covariance,
    direct_noise,
    voltage_noise,
    with_amplifiers,
)
from .cell_coefficients import CellCoefficients, schematic
from .flicker import Section, Source, amplifier_sections


class CellLaw(NamedTuple):
    """dv/dt = F v + u + white noise of covariance Q dt, for the differential voltages v.

    Attributes:
        drift: F, (n, n) 1/s. drive: u, (n,) V/s. diffusion: Q, (n, n) V^2/s.
        delay: D, (n, n) s: a circuit at v_0 sets out as if it were at v_0 - D dv/dt (see `slow_start`).
        slow: (n, n) 1/F, u for a force of one ampere, as `force` gives it.
        voltage: white input noise of the amplifiers, per second; None: they have none.
        sections: of their 1/f noise, per second.
    """

    drift: np.ndarray
    drive: np.ndarray
    diffusion: np.ndarray
    delay: np.ndarray
    slow: np.ndarray
    voltage: VoltageNoise | None = None
    sections: tuple[Section, ...] = ()

    @property
    def is_finite(self) -> bool:
        """Whether every entry is finite."""
        return all(bool(np.isfinite(values).all()) for values in self[:5])

    def slow_start(self, state: np.ndarray) -> np.ndarray:
        """Start (n,) of the first-order motion for cells at rest at voltages `state`, (n,)."""
        # dv/dt at the start that is sought: (1 + F D)^-1 (F state + u).
        slope = np.linalg.solve(np.eye(len(state)) + self.drift @ self.delay, self.drift @ state + self.drive)
        return np.asarray(state - self.delay @ slope)

    def over(self, duration: float, tau: float, noisy: bool) -> Transition:
        """The exact transition over `duration` in units of tau (s), which keep the numbers near one."""
        return transition(
            torch.from_numpy(self.drift * tau),
            torch.from_numpy(self.drive * tau),
            duration,
            torch.from_numpy(self.diffusion * tau) if noisy else None,
        )


def cell_law(
    program: AnalogProgram, currents: np.ndarray, card: DeviceCard, coefficients: CellCoefficients | None = None
) -> CellLaw:
    """The first-order law of a program on its die.

    Args:
        program: of a fabric that has a device model, on a die.
        currents: differential drive currents, (n,) A.
        card: the amplifiers' figures, gain and noise power.
        coefficients: the program's; default those of its schematic.
    """
    cells, opamp = coefficients or schematic(program), card.technology.opamp
    if program.fabric.active:
        cells = with_amplifiers(cells, opamp, program.parts.rails)
    leak, lag, pole = card.leak.value, card.lag.value, card.pole.value
    first, second = lag + leak * pole, lag * pole
    load, capacitance = cells.load, cells.capacitance
    own_leak, own_second = leak / cells.ratios[0], second / cells.ratios[1]
    own_first = lag / cells.ratios[1] + own_leak * pole
    conductance = cells.conductance + own_leak * load
    effective_capacitance = (
        (1.0 + own_leak) * capacitance
        + cells.coupled_capacitance
        + own_leak * cells.load_capacitance
        + own_first * load
    )
    second_order = own_first * (capacitance + cells.load_capacitance) + own_second * load
    current_noise, inverters, own_order = cells.current_noise, cells.inverters, second_order
    if inverters is not None:
        leaking, slowing, lagging = inverters.added(leak, first, second)
        conductance, effective_capacitance = conductance + leaking, effective_capacitance + slowing
        second_order = second_order + lagging
        current_noise = current_noise + inverters.current_noise(leak)
    slow = np.linalg.inv(effective_capacitance - second_order @ np.linalg.solve(effective_capacitance, conductance))
    share = slow @ (capacitance + cells.load_capacitance)
    unsettled = load - conductance @ share
    voltage = None
    if program.fabric.active and opamp.noise_voltage > 0:
        current_noise = current_noise + opamp.noise_voltage**2 / 2 * unsettled @ unsettled.T
        parts = (capacitance + cells.load_capacitance, load, effective_capacitance)
        own, seen, inertia = (torch.from_numpy(part.diagonal().copy()) for part in parts)
        voltage = white_voltages(card, own, seen, inertia, torch.from_numpy(conductance))
    # Without a gain-bandwidth product the second pole has nothing to act together with.
    third = own_second * capacitance @ np.linalg.solve(own_order, conductance) if second > 0 else 0.0
    noise_psd = slow @ (card.noise_power.value * current_noise) @ np.linalg.inv(effective_capacitance - third).T
    if inverters is not None:
        missing = card.noise_power.value * inverters.unfollowed_noise(leak, first, second)
        held = np.linalg.solve(effective_capacitance, np.linalg.solve(effective_capacitance, missing).T)
        noise_psd = noise_psd - 2 * slow @ conductance @ held
    return CellLaw(
        drift=-slow @ conductance,
        drive=slow @ force(program, currents, card, cells),
        diffusion=(noise_psd + noise_psd.T) / 2,
        delay=np.linalg.solve(effective_capacitance, second_order),
        slow=slow,
        voltage=voltage,
        sections=tuple(
            Section(
                torch.from_numpy(one.deviations),
                torch.from_numpy(one.rates),
                torch.from_numpy(slow @ (unsettled if one.is_voltage else one.currents)),
                torch.from_numpy(share) if one.is_voltage else None,
            )
            for one in sources_of(program, card, cells)
        ),
    )


def sources_of(program: AnalogProgram, card: DeviceCard, cells: CellCoefficients) -> list[Source]:
    """The sources of 1/f noise of a program's amplifiers."""
    if not program.fabric.active or card.noise_power.value == 0:
        return []
    power = math.sqrt(card.noise_power.value)
    return [
        one._replace(deviations=power * one.deviations)
        for one in amplifier_sections(
            cells.load, cells.inverters, card.technology.opamp, program.parts.rails, card.leak.value
        )
    ]


def white_voltages(
    card: DeviceCard,
    capacitance: torch.Tensor,
    load: torch.Tensor,
    inertia: torch.Tensor,
    conductance: torch.Tensor,
    unit: float = 1.0,
) -> VoltageNoise:
    """The white input noise of the amplifiers in a law.

    Args:
        card: of the amplifiers.
        capacitance, load, inertia: C, L and M's diagonals, (n,), C and M over `unit`. conductance: K', (n, n).
        unit: of time, s.
    """
    opamp = card.technology.opamp
    density, leak, lag, pole = (
        torch.tensor(value, dtype=torch.float64)
        for value in (
            card.noise_power.value * opamp.noise_voltage**2 / 2,
            card.leak.value,
            card.lag.value,
            card.pole.value,
        )
    )
    first, second = amplifier_lags(opamp, leak, lag, pole)
    return voltage_noise(density / unit, capacitance, load, inertia, conductance, first / unit, second / unit**2)


def force(program: AnalogProgram, currents: np.ndarray, card: DeviceCard, cells: CellCoefficients) -> np.ndarray:
    """gain drive I + L Vos and the inverters' offsets, A, for currents (n,) or rows (m, n)."""
    offsets = cells.load @ program.parts.offset
    if cells.inverters is not None:
        offsets = offsets + cells.inverters.offset_currents(card.leak.value)
    return np.asarray(card.gain.value * cells.drive * currents + offsets)


def propagate(
    program: AnalogProgram,
    currents: np.ndarray,
    state: np.ndarray,
    duration: float,
    card: DeviceCard,
    noisy: bool,
) -> tuple[np.ndarray, torch.Tensor | None]:
    """Mean (n,) in V and, with noise, covariance (n, n) in V^2 of the differential voltages after `duration` tau.

    The noise is white: that of resistors and amplifiers without its 1/f part.

    Args:
        program, currents, card: see `cell_law`. state: at first, (n,) V. duration: tau. noisy: whether the covariance is wanted.

    Returns:
        NaN, without covariance, for the settled state of a law that has none.

    Raises:
        InputError: amplifier noise of infinite bandwidth.
    """
    found = cell_law(program, currents, card)
    step = found.over(duration, program.tau, noisy and card.noise_power.value > 0)
    if not step.settled:
        return np.full(program.size, np.nan), None
    start = found.slow_start(state) if duration > 0 else state
    covariance = step.covariance
    if covariance is not None and found.voltage is not None and duration > 0:
        covariance = covariance + direct_covariance(
            direct_noise(found.voltage), step.propagator, duration * program.tau
        )
    return step.propagator.numpy() @ start + step.mean.numpy(), covariance
