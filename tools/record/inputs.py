"""Matrices, technologies, factored systems and cards that the cases share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thermograd.circuits import Technology, preset, thermal_preset
from thermograd.devicemodel import Dense, DeviceCard, Estimate, HeldOut, Kronecker, LowRank, Validity

ROOT = Path(__file__).resolve().parents[2]
DIALECTS = ("ngspice", "ltspice", "xyce")
FABRICS = ("rc", "dual_rail", "crossbar", "crossbar_single", "lc", "spu")
UNEVEN = preset("integrated").replace(
    thermal=thermal_preset("beside a GPU"),
    opamp__second_pole=1e9,
    thermal__power=1e-3,
    resistors__tc2=1e-6,
    dac__inl=0.01,
    dac__dnl=0.3,
    adc__inl=0.01,
    adc__dnl=0.3,
    resistors__die_to_die=0.1,
    resistors__gradient=0.02,
    capacitors__die_to_die=0.05,
    capacitors__gradient=0.01,
    resistors__conductance_drift=0.05,
    resistors__conductance_drift_spread=0.01,
)
"""A technology with every deviation there is."""


def technology_of(name: str, fabric: str = "auto") -> Technology:
    """A preset, or `UNEVEN`, with amplifiers of two outputs if the fabric needs them."""
    technology = UNEVEN if name == "uneven" else preset(name)
    differential = fabric in ("crossbar", "factored") and technology.opamp.outputs == 1
    return technology.replace(opamp__outputs=2) if differential else technology


def system_of(fabric: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A matrix (n, n) that the fabric can hold, and a right-hand side (n,)."""
    rng = np.random.default_rng([seed, n])
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    a = (basis * 10.0 ** rng.uniform(-1, 0.5, n)) @ basis.T
    if fabric not in ("crossbar", "crossbar_single", "factored"):
        off = a - np.diag(np.diag(a))
        off = -np.abs(off) if fabric in ("rc", "spu") else off
        a = off + np.diag(np.abs(off).sum(axis=1) + rng.uniform(0.1, 1.0, n))
    return (a + a.T) / 2, rng.standard_normal(n)


def factors(dtype: torch.dtype = torch.float64) -> tuple[LowRank, Kronecker, Dense]:
    """A system of each kind with twelve unknowns."""
    rng = np.random.default_rng(12)
    J, H, A, B = (torch.from_numpy(rng.standard_normal(shape)).to(dtype) for shape in ((4, 12), (4, 4), (3, 3), (4, 4)))
    low = LowRank(J, H @ H.mT / 4, 0.3)
    return low, Kronecker(A @ A.mT, B @ B.mT / 4, 0.2), Dense(low.dense())


def card_of(technology: Technology, fabric: str, **changes: Any) -> DeviceCard:
    """The card of a perfect calibration; `changes` are values of fitted parameters, and `clamp`."""
    values = {"gain": 1.002, "leak": 1e-4, "lag": 3e-10, "mismatch": 0.01, "capacitor_mismatch": 0.02, "offset": 1e-3}
    values |= {"noise_power": 1.1, "pole": 1e-10 if fabric == "crossbar" else 0.0} | changes
    clamp = values.pop("clamp", math.inf)
    parameters: dict[str, Any] = {name: Estimate(value=value, std=0.0) for name, value in values.items()}
    return DeviceCard(
        technology=technology,
        fabric=fabric,
        clamp=clamp,
        provenance={},
        held_out=HeldOut(systems=0, explained_variance=0, explained_variance_new_dies=0, spice_error=0, residual=0),
        validity=Validity(unknowns=(1, 8), condition_number=(1.0, 100.0), duration=30.0, layout=False, level=0.9),
        **parameters,
    )
