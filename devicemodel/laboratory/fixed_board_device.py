"""`FixedBoardDevice`: a measured board whose matrix is wired in, as a device: the exact law of its fitted netlist behind the host.

All states of the netlist are propagated exactly, with the thermal noise of its resistors; sources that are no inputs make the offsets. A
start of outputs y is the board at rest under those inputs that hold y, as a host would set it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...circuits.errors import InputError
from ...circuits.technology.parts import OpAmp
from ...circuits.technology.technology import Technology
from ...compiler.linear_system import LinearSystem
from ..host.board import Board, Voltages
from ..host.calibrated_range import CalibratedRange
from ..host.hosted_device import HostedDevice
from ..host.readout import ReadOut
from ..ou.doubling import integrate
from ..ou.recent import Recent
from ..systems import Dense, Kronecker, LowRank
from .fixed_board import BoardLaw, FixedBoard
from .measured_span import MeasuredSpan

NO_VOLTAGE = 1e-12
"""Unit in which what is kept beside the outputs is kept, so that the host does not take it for a voltage."""
WHITE = 1e-9
"""Share of white noise at an output that is rounding."""


@dataclass(frozen=True)
class BoardRange(CalibratedRange):
    """What a board was measured at.

    Args:
        span: see `MeasuredSpan`.
        preconditioner: whether other matrices than the board's are no reason to raise.
    """

    span: MeasuredSpan | None = None
    preconditioner: bool = False

    def check(self, violations: tuple[str, ...]) -> None:
        """See `CalibratedRange.check`."""
        super().check(tuple(text for text in violations if not (self.preconditioner and text.startswith("entry ("))))

    def of_level(self, volts: float) -> tuple[str, ...]:
        """See `CalibratedRange.of_level`."""
        return () if self.span is None else self.span.violations_by_level(volts)


class FixedBoardDevice(HostedDevice):
    """A device that holds the matrix of its board.

    Args:
        board: with fitted values. span: what it was measured at.
        seed: of the noise. read_out: see `HostedDevice`.
        preconditioner: True: take neighbouring matrices of the same size, too. The reading is then that of the board's own matrix, scaled
            to the diagonal of the one that was asked for, with the outcome EXTRAPOLATED: for `Refined`, which corrects it.
        extrapolate: True: answer outside of what was measured, too, with that outcome.

    Raises:
        InputError: white noise at an output; in `solve`, a matrix that is not the board's, by entry.
    """

    def __init__(
        self,
        board: FixedBoard,
        span: MeasuredSpan,
        seed: int = 0,
        read_out: ReadOut | None = None,
        preconditioner: bool = False,
        extrapolate: bool = False,
    ) -> None:
        for name, value in (("preconditioner", preconditioner), ("extrapolate", extrapolate)):
            if not isinstance(value, bool):
                raise InputError(f"{name} is {value!r}: give True or False")
        technology = Technology(
            name="measured board",
            source="a laboratory's measurements",
            opamp=OpAmp(output_limit=board.adc.full_scale),
            dac=board.dac,
            adc=board.adc,
        )
        remedy = "Measure the board there and fit it again"
        calibrated = BoardRange(None, extrapolate, remedy, span, preconditioner)
        super().__init__(technology, None, seed, read_out, calibrated)
        self.board, self.span, self.preconditioner = board, span, preconditioner
        self._motion = _Motion(board.law, board.adc.bandwidth)

    def accepts(self, system: LinearSystem) -> bool:
        """True for systems that can be written out."""
        return isinstance(system, Dense | LowRank | Kronecker)

    def _violations_of_system(self, system: LinearSystem) -> tuple[str, ...]:
        text = self.board.difference(_matrix(system))
        if text and not self.preconditioner:
            raise InputError(
                f"{text}: this board's matrix is wired in. Give a matrix that is its own, up to a scaling of the unknowns, or take it as a "
                "preconditioner: Refined(card.make_device(preconditioner=True))"
            )
        return (text,) if text else ()

    def _violations_of_run(self, duration: float) -> tuple[str, ...]:
        board = self._board
        return () if board is None else self.span.violations_by_time(duration * board.tau)

    def _program(self, system: LinearSystem) -> Board:
        return _WiredBoard(self.board, self._motion, self.board.scaling(_matrix(system)))

    @property
    def _identity(self) -> dict[str, Any]:
        return {**super()._identity, "netlist": self.board.netlist}


class _WiredBoard(Board):
    """A board that stands for D B D.

    Args:
        scaling: d, (n,).
    """

    takes_rows = True

    def __init__(self, board: FixedBoard, motion: _Motion, scaling: np.ndarray) -> None:
        law = board.law
        self.size, self._motion, self._scaling, self._law = board.size, motion, scaling, law
        smallest = float(np.linalg.eigvalsh(law.matrix * np.outer(scaling, scaling))[0])
        # The slowest mode then decays as that of dx/dt = b - A x.
        self.tau = law.slowest * smallest
        limits = np.array([one.limit for one in board.inputs])
        self._per_volt = limits / board.dac.full_scale
        self._drive = 1.0 / (scaling * law.input_scaling * self._per_volt)

    @property
    def kept(self) -> int:
        """Outputs, then what the states are beside the ones at rest with these outputs."""
        return self.size * (1 + math.ceil(self._motion.order / self.size))

    def strongest(self, b: np.ndarray) -> np.ndarray:
        """See `Board`."""
        return np.asarray(np.abs(self._drive * b).max(axis=-1))

    def requested(self, b: np.ndarray, level: np.ndarray) -> np.ndarray:
        """See `Board`."""
        return np.asarray(level * self._drive * b)

    def volts(self, x: np.ndarray, level: np.ndarray | float) -> np.ndarray:
        """See `Board`."""
        return np.asarray(x * self._scale_of(x) * level)

    def values(self, volts: np.ndarray, level: np.ndarray | float) -> np.ndarray:
        """See `Board`."""
        return np.asarray(volts / self._scale_of(volts) / level)

    def _scale_of(self, values: np.ndarray) -> np.ndarray:
        return np.concatenate([self._scaling, np.ones(values.shape[-1] - self.size)])

    def relax(
        self,
        dies: np.ndarray,
        driven: np.ndarray,
        start: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
    ) -> Voltages:
        """See `Board`."""
        n, motion = self.size, self._motion
        u = np.tile(self._law.fixed, (len(driven), 1))
        u[:, self._law.inputs] = driven * self._per_volt
        states, read = motion.resting(start[:, :n]) + start[:, n : n + motion.order] / NO_VOLTAGE, []
        for span in spans:
            states = motion.advance(states, u, span * self.tau, streams)
            read.append(motion.outputs(states, u))
        cells = np.stack(read, axis=1)
        left = np.zeros((len(driven), self.kept))
        left[:, :n] = cells[:, -1]
        left[:, n : n + motion.order] = (states - motion.resting(cells[:, -1])) * NO_VOLTAGE
        return Voltages(cells, left=left)


class _Motion:
    """Exact runs of a board's state space, with the ADC's sampler among the states.

    Attributes:
        order: number of states.
    """

    def __init__(self, law: BoardLaw, bandwidth: float) -> None:
        space, n = law.space, len(law.inputs)
        drift, drive, noise, read, direct = space.F, space.B, space.Bn, space.H, space.Du
        if math.isinf(bandwidth):
            at_rest = space.Dn - space.H @ np.linalg.solve(space.F, space.Bn)
            if np.abs(space.Dn).max(initial=0.0) > WHITE * np.abs(at_rest).max(initial=0.0):
                raise InputError(
                    "an output has white thermal noise, of infinite variance: state the bandwidth of what reads it, "
                    "adc=Converter(bandwidth=...)"
                )
        else:
            rate = 2 * math.pi * bandwidth
            drift = np.block([[drift, np.zeros((space.size, n))], [rate * read, -rate * np.eye(n)]])
            drive, noise = np.vstack([drive, rate * direct]), np.vstack([noise, rate * space.Dn])
            read, direct = np.hstack([np.zeros((n, space.size)), np.eye(n)]), np.zeros_like(direct)
        self.order, self._drive, self._read, self._direct = len(drift), drive, read, direct
        self._drift = torch.from_numpy(np.ascontiguousarray(drift))
        self._diffusion = torch.from_numpy(np.ascontiguousarray(noise @ space.noise_density @ noise.T))
        still = -np.linalg.solve(drift, drive)
        self._at_rest = still @ law.fixed
        self._per_output = still[:, law.inputs] @ np.linalg.inv(law.transfer)
        self._rest = law.rest
        self._laws: Recent[tuple[np.ndarray, np.ndarray, np.ndarray]] = Recent()

    def resting(self, outputs: np.ndarray) -> np.ndarray:
        """States (runs, order) at rest with outputs (runs, n)."""
        return np.asarray(self._at_rest + (outputs - self._rest) @ self._per_output.T)

    def outputs(self, states: np.ndarray, u: np.ndarray) -> np.ndarray:
        """(runs, n) V."""
        return np.asarray(states @ self._read.T + u @ self._direct.T)

    def advance(
        self, states: np.ndarray, u: np.ndarray, seconds: float, streams: Sequence[np.random.Generator]
    ) -> np.ndarray:
        """States `seconds` later, inf allowed, with noise."""
        if seconds == 0:
            return states
        propagator, response, root = self._laws.get(seconds, lambda: self._law(seconds))
        kicks = np.stack([rng.standard_normal(self.order) for rng in streams])
        return np.asarray(states @ propagator.T + (u @ self._drive.T) @ response.T + kicks @ root.T)

    def _law(self, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        law = integrate(self._drift, None, seconds, self._diffusion)
        assert law.covariance is not None
        values, vectors = np.linalg.eigh(law.covariance.numpy())
        return law.propagator.numpy(), law.mean.numpy(), vectors * np.sqrt(np.maximum(values, 0.0))


def _matrix(system: LinearSystem) -> np.ndarray:
    dense = system.dense().detach().cpu().double()
    return np.asarray(((dense + dense.mT) / 2).numpy())
