"""Cells of second order in one file, with the host of every device: positions are read, velocities kept.

    x'' + gamma x' + A x = b,     z = [x, x'],     by scipy's matrix exponential

A velocity in tau is shown by as many volts as a position of its size.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import expm

from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.host.board import Board, Voltages
from thermograd.devicemodel.host.hosted_device import HostedDevice
from thermograd.devicemodel.systems import Dense

POINTS = 200
"""Instants in a span at which amplifiers are looked at."""


def companion(matrix: np.ndarray, friction: float) -> np.ndarray:
    """F of dz/dt = F z + [0, b]."""
    eye = np.eye(len(matrix))
    return np.block([[0 * eye, eye], [-matrix, -friction * eye]])


class ToyOscillator(Board):
    def __init__(self, matrix: np.ndarray, friction: float, limit: float, watched: bool = True) -> None:
        self.matrix, self.size, self.tau = matrix, len(matrix), 1e-6
        self.friction, self.limit, self.watched = friction, limit, watched
        self.takes_start = True

    @property
    def kept(self) -> int:
        return 2 * self.size

    def obstacles(self, duration):
        return [None if np.linalg.eigvalsh(self.matrix)[0] > 0 else Outcome.UNSTABLE]

    def relax(self, dies, driven, start, spans, streams):
        [state], drift, seen, largest = start, companion(self.matrix, self.friction), [], np.abs(start).max()
        rest = np.append(np.linalg.solve(self.matrix, driven[0]), np.zeros(self.size))
        for span in spans:
            # The slowest mode of the tests' matrices is at rest after 100 tau.
            step = expm(drift * (100.0 if math.isinf(span) else span) / POINTS)
            for _ in range(POINTS):
                state = rest + step @ (state - rest)
                largest = max(largest, np.abs(state).max())
            seen.append(state[: self.size])
        overload = np.array([largest / self.limit]) if self.watched else None
        return Voltages(np.array([seen]), overload=overload, left=state[None])


class ToyOscillators(HostedDevice):
    kinds = "Dense(A)"
    friction, watched, takes_start, overshoot = 0.5, True, True, 1.0

    def accepts(self, system):
        return isinstance(system, Dense)

    def _program(self, system):
        limit = self.technology.opamp.output_limit
        board = ToyOscillator(system.dense().double().numpy(), self.friction, limit, self.watched)
        board.takes_start, board.overshoot = self.takes_start, self.overshoot
        return board
