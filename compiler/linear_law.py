"""`LinearLaw`: the linear law of a fabric's circuit with all its states, of any order, for device models that propagate it exactly.

    dz/dt = F z + B I + c + noise,      v = R z,

z the m states of the circuit (fluxes, capacitor voltages, amplifiers' own), I the drive currents and v the voltages that are read. A host
knows and sets only some of them: h = n * `Fabric.states` voltages, the first of all n cells, then the second of all cells, ...

States may have any unit, webers beside volts: who propagates a law scales them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class SlowSource:
    """Inputs of amplifiers of one kind, one for each cell, whose noise has a 1/f part; see `Fabric.slow_inputs`.

    Attributes:
        kind: whose density of the amplifier it is (`OpAmp.noise_voltage`, `noise_current`, two-sided density half its square).
        into: what a constant one drives, (m, n), of each state per second for a volt or ampere at each cell's; of amplifiers of a stage
            before the cells one for each of them, and as many columns in all sources of a law.
    """

    kind: Literal["voltage", "current"]
    into: np.ndarray


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of amplifiers, p in all, two of one that has two: V = `volts` z against ground and i = `amperes` z + `drive` I.

    Attributes:
        volts: (p, m) V. amperes: (p, m) A, out of the amplifier, without what offsets drive. drive: (p, n).
    """

    volts: np.ndarray
    amperes: np.ndarray
    drive: np.ndarray


@dataclass(frozen=True, eq=False)
class LinearLaw:
    """The law of m states and n cells. SI units.

    Attributes:
        drift: F, (m, m) 1/s, between states of different units in theirs.
        drive: B, (m, n), of each state per second for an ampere of (differential) drive current of a cell; what is realised over the
            nominal current is in it.
        constant: c, (m,), what amplifiers' offset voltages drive.
        johnson, amplifiers: Q_J and Q_A, (m, m): E[dz dz^T] = (Q_J + Q_A) dt, white: of resistors at their temperatures, and of
            amplifiers' input voltages and currents without their 1/f part.
        slow: inputs with a 1/f part, each of amplifiers of all cells.
        read: R, (n, m) V.
        start: H, (m, h): states of a circuit whose host has set h voltages, and which is otherwise at rest.
        kept: (h, m) V: what the host goes on from, kept @ start being the identity. Its first n are those that are read, but for what
            lasts no longer than an amplifier responds.
        outputs: of amplifiers; None: there are none.
    """

    drift: np.ndarray
    drive: np.ndarray
    constant: np.ndarray
    johnson: np.ndarray
    amplifiers: np.ndarray
    read: np.ndarray
    start: np.ndarray
    kept: np.ndarray
    slow: tuple[SlowSource, ...] = ()
    outputs: Outputs | None = None

    @property
    def order(self) -> int:
        """Number of states m."""
        return len(self.drift)

    @property
    def size(self) -> int:
        """Number of cells n."""
        return len(self.read)

    @property
    def is_finite(self) -> bool:
        """Whether every entry is finite."""
        parts = (self.drift, self.drive, self.constant, self.johnson, self.amplifiers, self.read, self.start, self.kept)
        return all(bool(np.isfinite(values).all()) for values in parts)
