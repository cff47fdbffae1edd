"""The law of large programs, by Krylov spaces and a series, against the same law written out."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices import krylov_law, surrogate
from thermograd.devicemodel.devices.cell_coefficients import extracted, schematic
from thermograd.devicemodel.devices.cell_law import cell_law, force
from thermograd.devicemodel.devices.dense_law import DenseLaw
from thermograd.devicemodel.devices.krylov_law import KrylovLaw
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.systems import Dense

from ...systems import drawn, passive, spd, true_card

REAL = preset("integrated").replace(opamp__noise_voltage=0.0)
SLOW = REAL.replace(opamp__gbw=1e8, opamp__second_pole=3e8)
WIRED = REAL.replace(
    wires__segment_resistance=5.0, wires__segment_capacitance=1e-14, wires__crosspoint_capacitance=5e-15
)
N = 40
DURATIONS = [1e-5, 0.02, 0.5, 4.0, 60.0, math.inf]


def laws(case, n=N, condition=100.0, noisy=True):
    """(program, card, by Krylov spaces, written out) of the same die."""
    technology = {"slow": SLOW, "slow single": SLOW, "slow single drawn": drawn(SLOW), "wired": WIRED}.get(case, REAL)
    fabric = "dual_rail" if case == "dual_rail" else "crossbar_single" if "single" in case else "crossbar"
    a = passive(n, 0.1, 2) if fabric == "dual_rail" else spd(n, condition, 2)
    program = lay_out(a, fabric, technology).on(Die(technology, 3))
    pole = 1 / (2 * math.pi * 3e8) if "slow" in case else 0.0
    card, cells = true_card(technology, fabric, pole=pole), (extracted if case == "wired" else schematic)(program)
    written = DenseLaw(cell_law(program, np.zeros(n), card, cells), cells, program.tau, noisy)
    return program, card, KrylovLaw(program, card, cells, noisy), written


def runs(program, card, cells, count=3):
    """(starts, forces) of some runs."""
    rng = np.random.default_rng(5)
    currents = 1e-4 * rng.uniform(-1, 1, (count, program.size)) * (program.parts.drive_nominal or 1e-3)
    starts = rng.uniform(-0.1, 0.1, (count, program.size))
    starts[0] = 0.0
    return torch.tensor(starts), torch.tensor(force(program, currents, card, cells))


def misfit(found, wanted):
    return float(((found - wanted).norm(dim=1) / wanted.norm(dim=1).clamp(min=1e-300)).max())


@pytest.mark.parametrize("case", ["crossbar", "slow", "dual_rail", "wired", "slow single drawn"])
def test_means_are_those_of_the_law_written_out(case):
    program, card, found, written = laws(case)
    starts, forces = runs(program, card, found.cells)
    assert found.stable
    slow = written.slow_start(starts, forces)
    assert misfit(found.slow_start(starts, forces), slow) < 1e-12
    for duration in DURATIONS:
        mean = written.mean(slow, forces, duration)
        assert misfit(found.mean(slow, forces, duration), mean) < 1e-9
        if 0.01 < duration < 1:
            # Negative control: the run's length is seen.
            assert misfit(found.mean(slow, forces, 1.001 * duration), mean) > 1e-5


@pytest.mark.parametrize("condition", [1.5, 400.0])
def test_means_whatever_the_spread_of_time_constants(condition):
    program, card, found, written = laws("crossbar", condition=condition)
    starts, forces = runs(program, card, found.cells)
    for duration in DURATIONS:
        assert misfit(found.mean(starts, forces, duration), written.mean(starts, forces, duration)) < 1e-9


def covariance(law, duration, monkeypatch):
    """Exactly, of a law whose noise is linear in what it draws: each of its normal numbers is one in turn."""
    asked = []
    monkeypatch.setattr(
        krylov_law,
        "normal",
        lambda shape, generator, like: asked.append(shape) or torch.ones(shape, dtype=torch.float64),
    )
    law.noise(duration, [None])
    [shape] = asked
    size = math.prod(shape)
    one = torch.eye(size, dtype=torch.float64)
    monkeypatch.setattr(krylov_law, "normal", lambda shape, place, like: one[place].reshape(shape))
    drawn = law.noise(duration, range(size))
    return drawn.T @ drawn


def spread(found, wanted):
    """Largest deviation of x^T found x / x^T wanted x from one, over all x."""
    root = torch.linalg.cholesky(wanted)
    white = torch.linalg.solve_triangular(root, found, upper=False)
    white = torch.linalg.solve_triangular(root, white.mT, upper=False)
    return float((torch.linalg.eigvalsh((white + white.mT) / 2) - 1).abs().max())


@pytest.mark.parametrize("case", ["crossbar", "slow", "dual_rail", "wired", "slow single"])
@pytest.mark.parametrize("duration", [0.05, 1.0, math.inf])
def test_the_covariance_is_right_to_one_percent_in_every_direction(case, duration, monkeypatch):
    _, _, found, written = laws(case)
    root = written._span(duration).root
    assert spread(covariance(found, duration, monkeypatch), root @ root.T) < 0.01


def test_the_covariance_knows_the_amplifiers_lag(monkeypatch):
    *_, found, written = laws("slow")
    root = written._span(math.inf).root
    # Negative controls: noise of another power, and white noise into cells without lag.
    assert spread(1.02 * covariance(found, math.inf, monkeypatch), root @ root.T) > 0.01
    monkeypatch.setattr(KrylovLaw, "_lagging", lambda self, vectors: 0 * vectors)
    assert spread(covariance(found, math.inf, monkeypatch), root @ root.T) > 0.01


def test_runs_have_noise_of_their_own():
    *_, found, _ = laws("crossbar")
    drawn = found.noise(math.inf, [torch.Generator().manual_seed(k) for k in range(20)])
    assert torch.linalg.matrix_rank(drawn) == 20
    again = found.noise(math.inf, [torch.Generator().manual_seed(7)])
    torch.testing.assert_close(again[0], drawn[7])


@pytest.mark.parametrize("skew", [2.02, 3.0])
def test_a_stable_law_whose_symmetric_part_is_not_positive(skew):
    """Growth at first, decay in the end: only the eigenvalues tell."""
    program, card, _, _ = laws("crossbar")
    cells = schematic(program)
    unit = program.conductance_unit
    skewed = np.eye(N) + skew * np.diag(np.arange(1, N) % 4 > 0, k=1)
    assert np.linalg.eigvalsh(skewed + skewed.T).min() < 0
    assert np.linalg.eigvals(skewed).min() > 0
    cells = dataclasses.replace(cells, conductance=unit * skewed)
    found = KrylovLaw(program, card, cells, True)
    written = DenseLaw(cell_law(program, np.zeros(N), card, cells), cells, program.tau, True)
    assert found.stable
    starts, forces = runs(program, card, cells)
    for duration in (0.5, 5.0, 20.0):
        assert misfit(found.mean(starts, forces, duration), written.mean(starts, forces, duration)) < 1e-9
    cells = dataclasses.replace(cells, conductance=unit * (skewed - 2 * np.eye(N)))
    assert not KrylovLaw(program, card, cells, True).stable


def device(n=12, technology=REAL, **options):
    return SurrogateDevice(true_card(technology), 3, extrapolate=True, **options)


@pytest.mark.parametrize("read_out", [None, ReadOut(reads=3, interval=0.4, auto_zero=True)])
def test_a_device_reads_the_same_by_either_law(read_out, monkeypatch):
    technology = REAL.replace(thermal__johnson_noise=False, adc__bits=None, dac__bits=None)
    system = Dense(torch.tensor(spd(30, 50.0, 4)))
    b = torch.tensor(np.random.default_rng(4).standard_normal(30))
    for duration in (0.4, 3.0, math.inf):
        wanted = device(technology=technology, read_out=read_out).solve(system, b, duration, x0=0.2 * b)
        monkeypatch.setattr(surrogate, "WRITTEN_OUT", 10)
        found = device(technology=technology, read_out=read_out).solve(system, b, duration, x0=0.2 * b)
        monkeypatch.undo()
        assert (found.outcome, found.attempts) == (wanted.outcome, wanted.attempts)
        assert float((found.x - wanted.x).norm()) < 1e-9 * float(wanted.x.norm())


def test_an_indefinite_matrix_is_unstable_by_either_law(monkeypatch):
    monkeypatch.setattr(surrogate, "WRITTEN_OUT", 10)
    a = spd(20, 10.0, 1)
    a -= (np.linalg.eigvalsh(a)[0] + 1.0) * np.eye(20)
    found = device().solve(Dense(torch.tensor(a)), torch.ones(20, dtype=torch.float64), 1.0)
    assert found.outcome is Outcome.UNSTABLE
