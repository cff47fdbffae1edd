"""`Parts`: the component values of a dense array, and what they do to first order (`Behaviour`).

In differential fabrics unknown i is the voltage v_i = V(p_i) - V(m_i) of two rails, and every component exists twice: the first axis
of its array has length 2. The differential law sees the mean of the two, their difference enters only in second order. With one rail
that axis has length 1.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ..circuits.technology.die import Die

BOLTZMANN = 1.380649e-23
"""Boltzmann constant, J/K (exact, SI)."""


@dataclass(frozen=True)
class Parts:
    """Component values of n cells, SI units.

    Attributes:
        coupling: (rails, n, n) conductances of the matrix resistors, S; 0 is an absent resistor.
        polarity: (n, n) +1 where the resistor joins like rails' currents (A_ij > 0), -1 where it crosses, 0 where absent.
        ground: (rails, n) conductances from each rail to ground (passive fabrics), S.
        drive: (rails, n) conductances of the input resistors (active fabrics), S.
        drive_nominal: conductance that the host assumes for every input resistor, S; 0 when the drive is a current.
        capacitance: (rails, n) F.
        offset: (n,) input offset voltages of the amplifiers, V.
        inverter: (2, n) input and feedback conductances of each column's inverter, S, and inverter_offset: (n,) its offset, V; used
            where there is one rail.
        coupling_temperature: (n, n) K. ground_temperature, drive_temperature: (n,) K.
    """

    coupling: np.ndarray
    polarity: np.ndarray
    ground: np.ndarray
    drive: np.ndarray
    drive_nominal: float
    capacitance: np.ndarray
    offset: np.ndarray
    inverter: np.ndarray
    inverter_offset: np.ndarray
    coupling_temperature: np.ndarray
    ground_temperature: np.ndarray
    drive_temperature: np.ndarray

    @classmethod
    def nominal(
        cls,
        rails: int,
        entries: np.ndarray,
        legs: np.ndarray,
        drive: float,
        capacitance: np.ndarray,
        temperature: float,
    ) -> Parts:
        """Parts without deviations, all rails alike.

        Args:
            rails: 1 or 2.
            entries: (n, n) signed conductances of the couplings, S. legs: (n,) S.
            drive: conductance of every input resistor, S; 0 where currents are the drive.
            capacitance: (n,) F.
            temperature: of all parts, K.
        """
        n = len(legs)
        return cls(
            coupling=np.broadcast_to(np.abs(entries), (rails, n, n)).copy(),
            polarity=np.sign(entries).astype(np.int8),
            ground=np.broadcast_to(legs, (rails, n)).copy(),
            drive=np.full((rails, n), drive),
            drive_nominal=drive,
            capacitance=np.broadcast_to(capacitance, (rails, n)).copy(),
            offset=np.zeros(n),
            inverter=np.full((2, n), drive),
            inverter_offset=np.zeros(n),
            coupling_temperature=np.full((n, n), temperature),
            ground_temperature=np.full(n, temperature),
            drive_temperature=np.full(n, temperature),
        )

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return len(self.offset)

    def on(
        self,
        die: Die,
        symmetric: bool,
        mismatch: float | None = None,
        capacitor_mismatch: float | None = None,
        offset: float | None = None,
    ) -> Parts:
        """These parts as that die has them: the die's lot shift, its gradient and drift at each part's place, and each part's own mismatch.

        Unknown i is at (i + 1/2) / n: a coupling (i, j) at row i, column j, a leg on the diagonal; input resistors and inverters at the
        right edge. A capacitor is beside its leg, or, where amplifiers hold the state, at the right edge, too.

        The standard deviations default to the die's technology; a calibrated surrogate passes those of its card. Lot and gradient are
        always the technology's. `symmetric` says that the resistors (i, j) and (j, i) are one and the same part.
        """
        technology, n = die.technology, self.size
        sigma = technology.resistors.mismatch if mismatch is None else mismatch
        sigma_c = technology.capacitors.mismatch if capacitor_mismatch is None else capacitor_mismatch
        sigma_v = technology.opamp.offset_mismatch if offset is None else offset
        place, edge = (np.arange(n) + 0.5) / n, np.ones(n)
        hot = die.temperature_of(place[:, None], place[None, :])
        legs, inputs = die.temperature_of(place, place), die.temperature_of(place, edge)
        shift = die.resistor_shift(place[:, None], place[None, :])
        shift_legs, shift_inputs = die.resistor_shift(place, place), die.resistor_shift(place, edge)
        shift_c = die.capacitor_shift(place, edge if self.drive_nominal else place)
        count = len(self.drive)
        deviate = die.deviates("coupling", (count, n, n))
        if symmetric:
            upper = np.triu(np.ones((n, n), dtype=bool))
            deviate = np.where(upper, deviate, deviate.transpose(0, 2, 1))
            hot, shift = np.where(upper, hot, hot.T), np.where(upper, shift, shift.T)
        return dataclasses.replace(
            self,
            coupling=self.coupling * np.exp(-sigma * deviate - shift) / die.drift(hot),
            ground=self.ground * np.exp(-sigma * die.deviates("ground", (count, n)) - shift_legs) / die.drift(legs),
            drive=self.drive * np.exp(-sigma * die.deviates("drive", (count, n)) - shift_inputs) / die.drift(inputs),
            capacitance=self.capacitance * np.exp(sigma_c * die.deviates("capacitor", (count, n)) + shift_c),
            offset=sigma_v * die.deviates("offset", (1, n))[0],
            inverter=self.inverter
            * np.exp(-sigma * die.deviates("inverter", (2, n)) - shift_inputs)
            / die.drift(inputs),
            inverter_offset=sigma_v * die.deviates("inverter_offset", (1, n))[0],
            coupling_temperature=hot,
            ground_temperature=legs,
            drive_temperature=inputs,
        )


@dataclass(frozen=True)
class Behaviour:
    """First-order law of a fabric's differential voltages, C dv/dt = -K v + drive * I + L Vos + noise.

    Attributes:
        stiffness: K, (n, n) S.
        load: L, (n,) S: the conductance that an amplifier's input sees; finite gain A0 adds L / A0 to K and finite
            gain-bandwidth adds L / (2 pi GBW) to C. Zero in passive fabrics.
        drive: (n,) realised over nominal drive current.
        capacitance: C, (n,) F.
        noise: (n, n) two-sided density of the differential Johnson currents, A^2/Hz.
    """

    stiffness: np.ndarray
    load: np.ndarray
    drive: np.ndarray
    capacitance: np.ndarray
    noise: np.ndarray
