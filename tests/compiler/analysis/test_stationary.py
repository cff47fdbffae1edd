"""Stationary covariances by Lyapunov's equation, against equipartition, an integral over frequency and a first-order law by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.constants import Boltzmann

from thermograd.circuits.amplifiers.noise_source import flicker_corners
from thermograd.circuits.technology.parts import OpAmp
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.rest_noise import rest_noise
from thermograd.compiler.analysis.stationary import stationary_covariances
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.linear_law import LinearLaw, SlowSource

from ...systems import passive


def test_fluxes_of_oscillators_are_in_equipartition_and_a_sampler_sees_less() -> None:
    """Cov(phi) = k T Gamma^-1 to rounding; through a sampler the integral of the spectrum of the reading over frequency."""
    a = passive(3, 0.4, 2)
    program = compile_matrix(a, "lc", preset("ideal").replace(thermal__johnson_noise=True))
    johnson, amplifiers = rest_noise(program)
    scale = program.conductance_unit * program.readout_scale**2 / (program.parts.rails * Boltzmann * 300.15)
    np.testing.assert_allclose(johnson * scale, np.diag(np.linalg.inv(a)), rtol=1e-9)
    assert not amplifiers.any()
    law, hertz = program.fabric.linear_law(program.parts, program.technology), 0.3 / program.tau
    seen, _ = stationary_covariances(law, OpAmp(), hertz)
    grid = np.linspace(0, 40 / program.tau, 20_001)
    density = []
    for f in grid[:: len(grid) // 2000]:
        reach = law.read @ np.linalg.inv(2j * math.pi * f * np.eye(law.order) - law.drift)
        density.append(2 * np.einsum("ij,jk,ik->i", reach, law.johnson, reach.conj()).real / (1 + (f / hertz) ** 2))
    found = np.trapezoid(np.array(density), grid[:: len(grid) // 2000], axis=0)
    np.testing.assert_allclose(np.diag(seen), found, rtol=2e-3)
    assert (np.diag(seen) < 0.9 * johnson).all()


@pytest.mark.parametrize("corner", [0.0, 3e5])
def test_a_first_order_cell_under_amplifiers_noise(corner: float) -> None:
    """q / 2a of a white density q; a section of rate r and variance s^2 adds h^2 s^2 / (a (a + r))."""
    rate, into, white = 1e6, 2e5, 3.0
    one = np.ones((1, 1))
    law = LinearLaw(
        drift=-rate * one, drive=one, constant=np.zeros(1), johnson=0 * one, amplifiers=white * one,
        read=one, start=one, kept=one, slow=(SlowSource("voltage", into * one),),
    )  # fmt: skip
    opamp = OpAmp(noise_voltage=1e-8, noise_voltage_corner=corner)
    variance = math.log(10) / 2 * opamp.noise_voltage**2 * corner
    sections = sum(variance / (rate * (rate + 2 * math.pi * f)) for f in flicker_corners(corner).tolist())
    _, found = stationary_covariances(law, opamp)
    assert found[0, 0] == pytest.approx(white / 2 / rate + into**2 * sections, rel=1e-12)


def test_noise_of_oscillators_is_the_integral_of_their_spectrum() -> None:
    """Through the sampler, resistors and amplifiers with their 1/f noise, by the admittance of the cells at 40 frequencies a decade."""
    technology = preset("integrated").replace(
        adc__bandwidth=3e7, thermal__johnson_noise=True, opamp__noise_voltage_corner=1e5
    )
    program = compile_matrix(passive(3, 0.4, 2), "oscillator", technology)
    johnson, amplifiers = rest_noise(program)
    grid = np.geomspace(1e-3, 1e11, 40 * 14 + 1)
    spectrum, found = program.fabric.noise(program.parts, technology), []
    for f in grid.tolist():
        noise = spectrum(f)
        reach, passed = np.linalg.inv(noise.admittance), 2 / (1 + (f / 3e7) ** 2)
        kinds = (noise.johnson, noise.amplifiers)
        found.append([passed * np.einsum("ij,jk,ik->i", reach, kind, reach.conj()).real for kind in kinds])
    wanted = np.trapezoid(np.array(found) * grid[:, None, None], np.log(grid), axis=0)
    np.testing.assert_allclose([johnson, amplifiers], wanted, rtol=2e-3)
    bare = program.fabric.linear_law(program.parts, technology)
    _, white = stationary_covariances(bare, technology.opamp.model_copy(update={"noise_voltage_corner": 0.0}), 3e7)
    assert (np.diag(white) < 0.97 * amplifiers).all()  # the control: without its 1/f part
