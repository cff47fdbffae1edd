"""The law of planned coupled oscillators: two integrators a cell, with the amplifiers' gain, poles and loads.

As in `planned_law` all rows are taken to be loaded alike. With eps_p' and eps_v' the loaded amplifiers of position and velocity, the link
of conductance g between them, the friction d, L siemens at the velocity's input and R in series with the capacitor of the position,

    Y = s C / (1 + s R C),      { [Y (1 + eps_p') + g eps_p'] [s C + d + (s C + d + L) eps_v'] / g + mu } phi = I

for an eigenvalue mu, S, of what the crosspoints hold. With ideal amplifiers (s tau)^2 + d / g (s tau) + mu / g = 0, tau = C / g, so that
d = 2 sqrt(g mu) damps this mode critically.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.polynomial import Polynomial

from ...circuits.amplifiers.models import IDEAL_GAIN
from ...circuits.technology.parts import OpAmp
from .planned_law import ModalLaw, period


@dataclass(frozen=True)
class OscillatorLoop(ModalLaw):
    """Coupled oscillators as their amplifiers see them; `load` is that of the velocity's input without its friction.

    Attributes:
        link: g, S. friction: d, S, as programmed. zero: R, ohm.
    """

    link: float
    friction: float
    zero: float

    @classmethod
    def planned(
        cls,
        opamp: OpAmp,
        capacitance: float,
        load: float,
        output: float,
        link: float,
        smallest: float,
        most: float = math.inf,
    ) -> OscillatorLoop:
        """With the friction, up to `most` S, that damps the smallest eigenvalue critically, less what the finite gain adds, and
        R = 2 / (omega_t C)."""
        leak = 1.0 / min(opamp.gain, IDEAL_GAIN)
        friction = min(max(2 * math.sqrt(link * smallest) - leak * (load + link), 0.0) / (1 + leak), most)
        return cls(opamp, capacitance, load, output, link, friction, 2 * period(opamp.gbw) / capacitance)

    @property
    def time_unit(self) -> float:
        """See `ModalLaw.time_unit`."""
        own = self.capacitance / self.link
        return math.sqrt(own * (period(self.opamp.gbw) or own))

    def leak(self) -> float:
        """(d + L / A0) / A0: small, as both integrators hold it."""
        leak = 1.0 / min(self.opamp.gain, IDEAL_GAIN)
        return leak * (self.friction + leak * (self.load + self.friction))

    def limit(self, largest: float) -> str:
        """See `ModalLaw.limit`."""
        swings = math.sqrt(largest * self.link) / (2 * math.pi * self.capacitance)
        lost = 2 * largest * period(self.opamp.gbw) / self.capacitance
        return (
            f"its fastest mode swings at {swings:.3g} Hz, where two integrators of {self.opamp.gbw:.3g} Hz undo a friction of "
            f"{lost:.3g} S in all but what R_z restores; use larger capacitors, a larger gain-bandwidth product, or a smaller array"
        )

    def polynomials(self) -> tuple[Polynomial, Polynomial, Polynomial]:
        """See `ModalLaw.polynomials`."""
        ohm, link, unit = self.opamp.output_resistance, self.link, self.time_unit
        storage, lead = (
            Polynomial([0.0, self.capacitance / unit]),
            Polynomial([1.0, self.zero * self.capacitance / unit]),
        )
        error, held = self._error(), storage + self.friction
        # Numerators and denominators of both integrators; the highest powers cancel, and the lead's with them.
        loaded = 1 + ohm * self.output
        position = storage * (1 + error * loaded) + link * error * (lead * loaded + ohm * storage)
        velocity = held * (1 + error * (1 + ohm * link)) + self.load * error * (1 + ohm * (link + held))
        direct = link * (lead - ohm * error * storage) * (1 - ohm * error * held)
        return direct, position * velocity, direct
