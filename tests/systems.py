"""Random matrices and device cards that several test modules share."""

from __future__ import annotations

import math

import numpy as np
import torch

from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.circuits.technology.transistor_mismatch import TransistorMismatch
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.compiler.matrices import comparison_matrix
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.estimate import Estimate
from thermograd.devicemodel.held_out import HeldOut
from thermograd.devicemodel.systems import Kronecker, LowRank
from thermograd.devicemodel.validity import Validity


def spd(n: int, condition: float, seed: int) -> np.ndarray:
    """A random symmetric positive definite (n, n) matrix of mixed signs with exactly this condition number (n > 1)."""
    rng = np.random.default_rng([seed, n])
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    exponents = np.concatenate([[0.0, 1.0], rng.uniform(size=max(0, n - 2))])[:n]
    a = (basis * condition**exponents) @ basis.T
    return (a + a.T) / 2


def passive(n: int, margin: float, seed: int) -> np.ndarray:
    """A random matrix of mixed signs whose comparison matrix has smallest eigenvalue `margin`: > 0 is realisable."""
    rng = np.random.default_rng([seed, n, 1])
    a = rng.standard_normal((n, n))
    a = (a + a.T) / 2
    np.fill_diagonal(a, rng.uniform(0.5, 2.0, n))
    return a + (margin - np.linalg.eigvalsh(comparison_matrix(a))[0]) * np.eye(n)


def m_matrix(n: int, seed: int, margin: float = 0.4) -> np.ndarray:
    """`passive` with all couplings negative."""
    signed = passive(n, margin, seed)
    return np.asarray(2 * np.diag(np.diag(signed)) - np.abs(signed))


def low_rank(J: object, H: object = None, damping: float = 0.0) -> LowRank:
    """J^T H J + damping from arrays."""
    return LowRank(_tensor(J), None if H is None else _tensor(H), damping)


def kronecker(A: object, B: object, damping: float = 0.0) -> Kronecker:
    """A (x) B + damping from arrays."""
    return Kronecker(_tensor(A), _tensor(B), damping)


def _tensor(values: object) -> torch.Tensor:
    return torch.tensor(np.asarray(values, dtype=float))


def built_for(fabric: str, technology: Technology | str) -> Technology:
    """The technology, or preset, with amplifiers of two outputs if that fabric needs them: as the figures of a TL072 in a crossbar."""
    technology = preset(technology) if isinstance(technology, str) else technology
    outputs = 0 if fabric == "auto" else fabric_named(fabric).outputs
    return technology if outputs <= technology.opamp.outputs else technology.replace(opamp__outputs=outputs)


def drawn(technology: Technology) -> Technology:
    """The technology with amplifiers whose transistors scatter so much that gain and bandwidth do by a tenth."""
    first = TransistorMismatch(
        name="M1",
        threshold=5e-3,
        current_factor=0.02,
        offset_by_threshold=0.1,
        gain_by_threshold=20.0,
        gbw_by_current_factor=3.0,
    )
    second = TransistorMismatch(name="M2", threshold=5e-3, offset_by_threshold=-0.1, gbw_by_threshold=-20.0)
    return technology.replace(opamp__offset=0.0, opamp__transistors=(first, second))


def true_card(technology: Technology, fabric: str = "crossbar", **changes: float) -> DeviceCard:
    """The card that a perfect calibration of this technology would find; `changes` to its fitted values."""
    active = fabric_named(fabric).active  # a passive circuit has no amplifiers
    values = {
        "gain": 1.0,
        "leak": 1.0 / technology.opamp.gain if active else 0.0,
        "lag": 1.0 / (2 * math.pi * technology.opamp.gbw) if active else 0.0,
        "mismatch": technology.resistors.mismatch,
        "capacitor_mismatch": technology.capacitors.mismatch,
        "offset": technology.opamp.offset_mismatch,
        "noise_power": 1.0,
    } | changes
    return DeviceCard(
        technology=technology,
        fabric=fabric,
        held_out=HeldOut(
            systems=0, explained_variance=0.0, explained_variance_new_dies=0.0, spice_error=0.0, residual=0.0
        ),
        validity=Validity(unknowns=(1, 64), condition_number=(1.0, 1e4)),
        provenance={"simulator": "none"},
        **{name: Estimate(value=value, std=0.0) for name, value in values.items()},
    )
