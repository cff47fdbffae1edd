"""The factor of a round: each cause against drawn dies and against what `Refined` sees of a device of that cause alone."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.limits import Imperfections, contraction, contraction_of_dies, rounds_to
from thermograd.devicemodel.systems import Dense

N = 40
DIES = range(1, 9)
INTEGRATED = preset("integrated")
PERFECT = preset("ideal").replace(resistors__unit=1e4, capacitors__unit=1e-11)
ONLY = {
    "codes": PERFECT.replace(resistors__bits=8),
    "mismatch": PERFECT.replace(resistors__tolerance=0.01),
    "written": PERFECT.replace(
        resistors__bits=16,
        resistors__range_error=0.004,
        resistors__write_noise=0.003,
        resistors__relative_write_noise=0.006,
    ),
    "leak": PERFECT.replace(opamp__gain=2e3),
    "converters": PERFECT.replace(dac__bits=8, adc__bits=8),
    "noise": PERFECT.replace(adc__noise=5e-3, thermal__johnson_noise=True),
}
"""One thing wrong at a time."""
WRITTEN_TWICE = {
    "resistors__range_error": 0.008,
    "resistors__write_noise": 0.006,
    "resistors__relative_write_noise": 0.012,
}


def system(condition=150.0, seed=0, n=N):
    """A damped Gram matrix of half rank: as those of training, with many eigenvalues at the damping."""
    rows = np.random.default_rng([seed, 3]).standard_normal((n, n // 2)) * np.geomspace(1, 0.1, n // 2)
    gram = rows @ rows.T
    return gram + np.linalg.eigvalsh(gram)[-1] / (condition - 1) * np.eye(n)


def refined(technology, die, A, duration=math.inf, rounds=8, seed=0, **options):
    device = SurrogateDevice(DeviceCard.uncalibrated(technology), die, seed, extrapolate=True)
    b = torch.from_numpy(np.random.default_rng([seed, 9]).standard_normal(len(A)))
    return Refined(device, rounds, **options).solve(Dense(torch.from_numpy(A)), b, duration)


def rate(solution):
    """Mean factor of a reading."""
    residuals = solution.refinement.residuals
    return residuals[-1] ** (1 / len(residuals))


def test_a_perfect_technology_has_no_factor():
    found = contraction(system(), PERFECT)
    assert found.total == found.operator == found.codes == found.leak == found.offset == 0.0
    assert dataclasses.asdict(Imperfections.of("ideal")) == dataclasses.asdict(Imperfections()) | {
        "limit": 1.0,
        "full_scale": 1.0,
    }


def test_leak_and_settling_are_eigenvalues():
    A = system()
    d = 1 / np.sqrt(A.diagonal())
    M = d[:, None] * A * d
    load = np.abs(M).sum(axis=1) + 1
    T = np.diag(load / 2e3)
    expected = np.linalg.eigvals(np.linalg.solve(M + T, T)).real.max()
    assert contraction(A, ONLY["leak"]).leak == pytest.approx(expected, rel=1e-9)
    time = 3.0 / np.linalg.eigvalsh(M)[0] / A.diagonal().max()
    assert contraction(A, PERFECT, time).settling == pytest.approx(math.exp(-3.0), rel=1e-9)
    # A slower circuit: lag L beside its capacitor.
    slow = contraction(A, PERFECT.replace(opamp__gbw=5e7), time).settling
    assert math.exp(-3.0) < slow < 1
    one = refined(PERFECT.replace(opamp__gbw=5e7), 0, A, time, rounds=6)
    few = contraction(A, PERFECT.replace(opamp__gbw=5e7), time, readings=7)
    assert rate(one) == pytest.approx(few.settling, rel=0.15)


@pytest.mark.parametrize("wall", ["codes", "mismatch", "written"])
def test_programming_against_drawn_dies(wall):
    # Of one matrix there are many dies, and one rounding.
    cases = [(k, None) for k in range(3)] if wall == "codes" else [(0, die) for die in range(6)]
    matrices = [system(60.0, seed, 200) for seed, _ in cases]
    radii = [contraction_of_dies(A, ONLY[wall], [die])[0].radius for A, (_, die) in zip(matrices, cases, strict=True)]
    name = "mismatch" if wall == "written" else wall
    law = getattr(contraction(matrices[0], ONLY[wall]), name)
    assert np.mean(radii) == pytest.approx(law, rel=0.2)
    # Twice the scatter is not this technology's.
    twice = {"codes": {"resistors__bits": 7}, "mismatch": {"resistors__tolerance": 0.02}, "written": WRITTEN_TWICE}[
        wall
    ]
    assert getattr(contraction(matrices[0], ONLY[wall].replace(**twice)), name) > 1.6 * np.mean(radii)


def test_norms_bound_radii_and_unstable_dies_have_none():
    A = system(60.0)
    found = contraction_of_dies(A, INTEGRATED, DIES)
    assert all(die.radius <= die.norm for die in found)
    bad = system(3e4)
    unstable = contraction_of_dies(bad, ONLY["mismatch"], DIES)
    outcomes = [refined(ONLY["mismatch"], die, bad).outcome for die in DIES]
    assert [math.isinf(die.radius) for die in unstable] == [outcome is Outcome.UNSTABLE for outcome in outcomes]
    assert any(math.isinf(die.radius) for die in unstable)
    assert math.isinf(contraction(bad, ONLY["mismatch"]).mismatch)
    # A card has its own mismatch and leak.
    card = DeviceCard.uncalibrated(INTEGRATED)
    assert contraction_of_dies(A, card, [3]) == contraction_of_dies(A, INTEGRATED, [3])
    assert contraction_of_dies(A, card.replace(mismatch=0.02), [3])[0].radius > found[2].radius


def test_refinement_converges_at_the_radius_of_its_die():
    A = system(60.0)
    card = PERFECT.replace(resistors__tolerance=0.01, resistors__bits=8, opamp__gain=2e3)
    for die in contraction_of_dies(A, card, (1, 2, 3)):
        residuals = refined(card, die.die, A, rounds=11).refinement.residuals
        assert (residuals[11] / residuals[5]) ** (1 / 6) == pytest.approx(die.radius, rel=0.15)


@pytest.mark.parametrize("wall", ["codes", "mismatch", "leak", "converters", "noise"])
def test_factor_that_refined_sees(wall):
    A, readings = system(60.0), 6
    rates = [rate(refined(ONLY[wall], die, A, rounds=readings - 1, seed=die)) for die in DIES]
    law = getattr(contraction(A, ONLY[wall], readings=readings), wall)
    # The law is one of rms and large n, and how much of the range a host leaves depends on what it has solved before.
    assert np.exp(np.mean(np.log(rates))) == pytest.approx(law, rel=0.5 if wall == "converters" else 0.3)
    # Negative control: the law of another cause of the same device.
    assert contraction(A, INTEGRATED, readings=readings).offset > 0
    other = {"codes": "leak", "mismatch": "noise", "leak": "noise", "converters": "codes", "noise": "codes"}[wall]
    assert getattr(contraction(A, ONLY[wall], readings=readings), other) < 0.2 * law


def test_offset_is_the_largest_voltage_without_a_drive():
    A = system(60.0)
    technology = PERFECT.replace(opamp__offset=1e-3)
    shares = []
    for die in range(1, 25):
        device = SurrogateDevice(DeviceCard.uncalibrated(technology), die, extrapolate=True)
        d = 1 / np.sqrt(A.diagonal())
        device.solve(Dense(torch.from_numpy(d[:, None] * A * d)), torch.zeros(N, dtype=torch.float64), math.inf)
        shares.append(float(np.abs(device.probe.settled).max()))
    spread = 1.253 * np.std(shares) / math.sqrt(len(shares))  # of a median
    law = contraction(A, technology).offset
    assert abs(np.median(shares) - law) < 3 * spread
    assert abs(np.median(shares) - 2 * law) > 3 * spread


def test_ways_change_what_they_are_for():
    A, now = system(), Imperfections.of(INTEGRATED)
    base = contraction(A, now)
    two = Imperfections.of(INTEGRATED.replace(resistors__slices=2))
    verified, sliced = contraction(A, now.verified()), contraction(A, two)
    assert verified.mismatch == 0
    assert 0 < verified.codes < base.codes
    assert sliced.mismatch == base.mismatch
    assert sliced.codes < base.codes / 100
    assert contraction(A, now.verified(1e-3)).mismatch == pytest.approx(
        contraction(A, INTEGRATED.replace(resistors__tolerance=1e-3 * math.sqrt(2))).mismatch
    )
    assert contraction(A, now.leak_compensated(0.1)).leak < 0.2 * base.leak
    assert contraction(A, now.offsets_nulled()).offset < 0.5 * base.offset
    assert contraction(A, now, deflation=5).total < base.total
    assert two.code == pytest.approx(now.code / 256)
    assert 0 < two.verified().scatter < 1e-4
    ranged = INTEGRATED.replace(resistors__drive_ranges=8)
    assert contraction(A, ranged).converters < 0.7 * base.converters


def test_rounds():
    assert rounds_to(0.1) == 2
    assert rounds_to(0.09) == 2
    assert rounds_to(0.11) == 3
    assert rounds_to(1e-5) == 0
    assert rounds_to(0.0) == 0
    assert rounds_to(1.0) is None
    assert rounds_to(math.inf) is None
    assert rounds_to(0.5, 0.2) == 2


def test_predicted_rounds_reach_the_target():
    reached = 0
    for seed in DIES:
        A = system(60.0, seed)
        count = rounds_to(contraction(A, INTEGRATED).total, 1e-3)
        reached += refined(INTEGRATED, seed, A, rounds=count + 1, seed=seed).refinement.residual <= 1e-3
    assert reached >= len(DIES) - 1


def test_errors():
    for call in (
        lambda: contraction(system(), INTEGRATED, 0.0),
        lambda: contraction(system(), INTEGRATED, readings=0),
        lambda: contraction(-np.eye(2), INTEGRATED),
        lambda: contraction(np.array([[1.0, 2.0], [2.0, 1.0]]), INTEGRATED),
        lambda: contraction(system(), INTEGRATED, deflation=N),
        lambda: contraction(system(), "nothing of the kind"),
        lambda: rounds_to(0.5, 0.0),
        lambda: Imperfections().verified(-1.0),
    ):
        with pytest.raises(InputError):
            call()


def test_a_bias_leaves_out_the_finest_ranges_of_the_drive():
    """It may take half of the DAC: some 0.1 V of offsets leave unit, 2 unit and 4 unit, and without a bias there is 8 unit, too."""

    def steps(ranges, nulled):
        figures = Imperfections(full_scale=1.0, limit=1.0, dac_step=0.01, drive_offset=0.04, drive_ranges=ranges)
        return contraction(system(1e4), figures.offsets_nulled() if nulled else figures).converters

    assert steps(8, True) == steps(3, True) < steps(2, True) < steps(1, True)
    assert steps(4, False) < steps(3, False)


SINGLE = {wall: technology.replace(opamp__outputs=1) for wall, technology in ONLY.items()}


def test_mismatch_of_inverters_against_drawn_dies():
    """One z for a column's negative entries, and no second rail to average over."""
    A = system(60.0, 0, 200)
    found = contraction_of_dies(A, SINGLE["mismatch"], range(6))
    law = contraction(A, SINGLE["mismatch"]).mismatch
    assert np.mean([die.radius for die in found]) == pytest.approx(law, rel=0.2)
    # Negative control: the law of a differential array, of pairs and without inverters.
    assert contraction(A, ONLY["mismatch"]).mismatch < 0.65 * law
    alone = dataclasses.replace(Imperfections.of(SINGLE["mismatch"]), inverter_mismatch=0.0)
    assert contraction(A, alone).mismatch < 0.95 * law


@pytest.mark.parametrize("wall", ["mismatch", "leak"])
def test_factor_that_refined_sees_of_a_single_ended_array(wall):
    A, readings = system(60.0), 6
    rates = [rate(refined(SINGLE[wall], die, A, rounds=readings - 1, seed=die)) for die in DIES]
    law = getattr(contraction(A, SINGLE[wall], readings=readings), wall)
    assert np.exp(np.mean(np.log(rates))) == pytest.approx(law, rel=0.3)


def test_leak_and_settling_with_inverters_are_eigenvalues():
    A = system()
    d = 1 / np.sqrt(A.diagonal())
    M = d[:, None] * A * d
    T = (np.diag(np.abs(M).sum(axis=1) + 1) + 2 * np.maximum(-M, 0)) / 2e3
    expected = np.abs(np.linalg.eigvals(np.linalg.solve(M + T, T))).max()
    assert contraction(A, SINGLE["leak"]).leak == pytest.approx(expected, rel=1e-9)
    assert contraction_of_dies(A, SINGLE["leak"], [1])[0].radius == pytest.approx(expected, rel=1e-3)
    assert contraction(A, ONLY["leak"]).leak != pytest.approx(expected, rel=0.01)
    slow = PERFECT.replace(opamp__gbw=5e7, opamp__outputs=1)
    time = 3.0 / np.linalg.eigvalsh(M)[0] / A.diagonal().max()
    assert rate(refined(slow, 0, A, time, rounds=6)) == pytest.approx(contraction(A, slow, time, 7).settling, rel=0.15)


def test_offsets_of_inverters_count():
    """Beside those of the cells: of a matrix with much negative in it, the rms of 24 dies."""
    M = 0.5 * np.eye(12) - 0.04 + 0.5 * np.eye(12)
    found = {}
    for outputs in (1, 2):
        technology = PERFECT.replace(opamp__offset=1e-3, opamp__outputs=outputs)
        shares = []
        for die in range(1, 25):
            device = SurrogateDevice(DeviceCard.uncalibrated(technology), die, extrapolate=True)
            device.solve(Dense(torch.from_numpy(M)), torch.zeros(12, dtype=torch.float64), math.inf)
            shares.append(float(np.abs(device.probe.settled).max()))
        law = contraction(M, technology).offset
        assert abs(np.median(shares) - law) < 3 * 1.253 * np.std(shares) / math.sqrt(24)
        found[outputs] = law
    assert found[1] > 1.02 * found[2]


def test_the_law_is_that_of_the_array_that_is_compiled():
    assert not Imperfections.of(INTEGRATED).inverted
    assert Imperfections.of(INTEGRATED, "crossbar_single").inverted
    assert Imperfections.of(DeviceCard.uncalibrated(preset("breadboard"))) == Imperfections.of("breadboard")
    with pytest.raises(InputError, match="fabric dual_rail has no amplifiers"):
        Imperfections.of(DeviceCard.uncalibrated(INTEGRATED, "dual_rail"))
    with pytest.raises(InputError, match="fabric oscillator has cells of second order"):
        Imperfections.of(INTEGRATED, "oscillator")
