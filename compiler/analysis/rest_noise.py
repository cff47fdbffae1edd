"""Noise of a program's readings at rest: resistors and amplifiers, by the law of its parts, read through the ADC's sampler.

    Cov(v) = 2 integral_0^inf Re[Y(f)^-1 S(f) Y(f)^-H] / (1 + (f / B)^2) df

with Y the admittance of the cells, S the two-sided density of the noise currents (`Fabric.noise`) and B the bandwidth of the sampler. One
reading holds all of it, since sampling folds what is beyond its rate into the band. An amplifier's voltage noise e_n drives a cell like an
offset, as (L + s C) e_n, up to the gain-bandwidth product, beyond the cell's own bandwidth. Its 1/f part levels off `DECADES_BELOW` its
corner, as in the macromodel's netlist (`amplifiers.noise_source`).

The integrand is smooth in ln f, where the trapezoidal rule converges geometrically; the noise of a mode of any width is a Lorentzian, whose
error at `STEPS` a decade is 1e-7 of it. Fabrics whose modes swing are resonant, and have Lyapunov's equation instead (`stationary`).
"""

from __future__ import annotations

import math

import numpy as np

from ...circuits.amplifiers.noise_source import DECADES_BELOW
from ...circuits.errors import UnrealisableError
from ..fabrics.base import Fabric
from ..program import AnalogProgram
from .stationary import stationary_covariances

STEPS = 4
"""Frequencies a decade."""
BELOW, ABOVE = 1e-3, 1e4
"""Ends of the grid against the slowest mode's frequency and the largest of the circuit's."""


def rest_noise(program: AnalogProgram) -> tuple[np.ndarray, np.ndarray]:
    """Variances of one reading, (n,) V^2 each: by the resistors' Johnson noise, and by the amplifiers' noise; inf where nothing bounds it.

    Raises:
        UnrealisableError: a fabric without a law of its noise (`has_noise_law`).
    """
    fabric, technology = program.fabric, program.technology
    if not has_noise_law(fabric):
        raise UnrealisableError(f"the noise of fabric {fabric.name} at rest is not known by a law")
    opamp, sampler = technology.opamp, technology.adc.bandwidth
    if fabric.has_linear_law:
        kinds = stationary_covariances(fabric.linear_law(program.parts, technology), opamp, sampler)
        resistors, active = (np.diag(covariance) for covariance in kinds)
        return resistors if technology.thermal.johnson_noise else np.zeros(program.size), active
    noise = fabric.noise(program.parts, technology)
    rest, storage = fabric.at_rest(program.parts, technology).matrix, program.parts.capacitances()
    if storage is None:
        raise UnrealisableError(f"the noise of fabric {fabric.name} at rest is not known by a law")
    slow = 1.0 / (2 * math.pi * program.settling_time)
    corners = [
        corner for corner in (opamp.noise_voltage_corner, opamp.noise_current_corner) if corner and fabric.active
    ]
    fast = float((np.abs(rest).sum(axis=1) / storage).max()) / (2 * math.pi)
    limits = [limit for limit in (opamp.gbw, opamp.second_pole) if math.isfinite(limit) and fabric.active]
    endless = fabric.active and opamp.noise_voltage > 0 and math.isinf(opamp.gbw) and math.isinf(sampler)
    highest = max([fast, *limits, *([sampler] if math.isfinite(sampler) else [])])
    low = math.log(min([BELOW * slow, *(10.0**-DECADES_BELOW / 30 * corner for corner in corners)]))
    high = math.log(ABOVE * highest)
    grid = np.exp(np.linspace(low, high, 1 + math.ceil((high - low) / math.log(10) * STEPS)))
    weights = np.gradient(np.log(grid)) * grid
    weights[[0, -1]] /= 2
    # Below the grid the density is flat.
    weights[0] += grid[0]
    johnson, amplifiers = np.zeros(program.size), np.zeros(program.size)
    for frequency, weight in zip(grid.tolist(), weights.tolist(), strict=True):
        found = noise(frequency)
        reach = np.linalg.inv(found.admittance)
        passed = 2 * weight / (1 + (frequency / sampler) ** 2)
        if technology.thermal.johnson_noise:
            johnson += passed * _diagonal(reach, found.johnson)
        if found.amplifiers.any():
            amplifiers += passed * _diagonal(reach, found.amplifiers)
    return johnson, np.full(program.size, math.inf) if endless else amplifiers


def has_noise_law(fabric: Fabric) -> bool:
    """Whether a law says what noise there is in a reading of the mean."""
    return fabric.mean and (fabric.has_device_model or fabric.has_linear_law)


def _diagonal(reach: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Diagonal of reach density reach^H, (n,)."""
    return np.einsum("ij,ij->i", reach @ density, reach.conj()).real
