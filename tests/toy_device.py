"""A device in one file: cells that relax by the matrix as it is, with the converters and the host of every device.

    dx/dt = -(A x - b),    by scipy's matrix exponential

It serves the tests that a new device is one class for what it accepts and one for its physics.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import expm

from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.host.board import Board, Voltages
from thermograd.devicemodel.host.hosted_device import HostedDevice
from thermograd.devicemodel.systems import Dense, LowRank


class ToyBoard(Board):
    def __init__(self, matrix: np.ndarray, tau: float) -> None:
        self.matrix, self.size, self.tau = matrix, len(matrix), tau

    def obstacles(self, duration):
        return [None if np.linalg.eigvalsh(self.matrix)[0] > 0 else Outcome.UNSTABLE]

    def relax(self, dies, driven, start, spans, streams):
        [volts], settled, seen = start, np.linalg.inv(self.matrix) @ driven[0], []
        for span in spans:
            left = np.zeros_like(self.matrix) if math.isinf(span) else expm(-self.matrix * span)
            volts = settled + left @ (volts - settled)
            seen.append(volts)
        return Voltages(np.array([seen]))


class ToyDevice(HostedDevice):
    kinds = "Dense(A) or LowRank(J, H, damping)"

    def accepts(self, system):
        return isinstance(system, Dense | LowRank)

    def _program(self, system):
        return ToyBoard(system.dense().double().numpy(), tau=1e-6)
