"""What ranges of the drive resistor, or of the DAC's attenuator, bring: the DAC's used share, and the error of first and refined readings.

    python benchmarks/devicemodel/drive_ranges.py [--dies 8] [--ranges 1 4 8] [--attenuations 8]

Random systems with log-uniform spectra (crossbar of the `integrated` preset), and those whose eigenvalues are all small but a few, as a
curvature's are; unit diagonal, settled, read bare, bare at +b and -b, and with one and two rounds of refinement. Medians over dies.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import torch

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.converters import attenuation_of
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense


def spectrum(n: int, condition: float, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Eigenvalues (n,) from 1 to the condition number."""
    if kind == "log-uniform":
        return condition ** np.concatenate([[0.0, 1.0], rng.uniform(size=n - 2)])
    return np.concatenate([np.ones(n - 4), condition ** np.array([1 / 4, 1 / 2, 3 / 4, 1.0])])


def system(n: int, condition: float, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A and b, scaled to a unit diagonal."""
    rng = np.random.default_rng([n, seed, int(condition)])
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    a = (basis * spectrum(n, condition, kind, rng)) @ basis.T
    d = 1 / np.sqrt(np.diag(a))
    a = d[:, None] * (a + a.T) / 2 * d
    return a, rng.standard_normal(n)


def measure(
    a: np.ndarray, b: np.ndarray, ranges: int, attenuations: int, dies: int
) -> tuple[float, list[float], float]:
    """Median share of the DAC's full scale, median errors of the four readings, mean runs of a bare one."""
    changes = {"resistors__drive_ranges": ranges, "dac__attenuations": attenuations}
    card = DeviceCard.uncalibrated(preset("integrated").replace(**changes))
    exact = np.linalg.solve(a, b)
    shares, errors, runs = [], [], []
    for die in range(dies):
        loaded, drive = Dense(torch.from_numpy(a)), torch.from_numpy(b)
        device = SurrogateDevice(card, die, extrapolate=True)
        bare = device.solve(loaded, drive, math.inf)
        assert device.probe is not None
        requested, dac = device.probe.requested, card.technology.dac
        shares.append(float(np.abs(requested).max()) * 2.0 ** attenuation_of(requested, dac) / dac.full_scale)
        runs.append(bare.attempts)
        found = [bare.x]
        for rounds in (0, 1, 2):
            refined = Refined(SurrogateDevice(card, die, extrapolate=True), rounds=rounds, equilibrate=False)
            found.append(refined.solve(loaded, drive, math.inf).x)
        errors.append([float(np.linalg.norm(x.numpy() - exact) / np.linalg.norm(exact)) for x in found])
    return float(np.median(shares)), np.median(errors, axis=0).tolist(), float(np.mean(runs))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dies", type=int, default=8)
    parser.add_argument("--ranges", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument(
        "--attenuations", type=int, nargs="*", default=[], help="settings of an attenuator, with one range"
    )
    given = parser.parse_args()
    ways = [(ranges, 1) for ranges in given.ranges] + [(1, settings) for settings in given.attenuations]
    print("| system | ranges | DAC used | runs | bare | at +b and -b | one round | two rounds |")
    print("|---|---|---|---|---|---|---|---|")
    for n, condition, kind in [
        (16, 10.0, "log-uniform"),
        (16, 100.0, "log-uniform"),
        (64, 30.0, "log-uniform"),
        (64, 100.0, "log-uniform"),
        (64, 100.0, "few large"),
        (128, 300.0, "few large"),
    ]:
        a, b = system(n, condition, kind, 1)
        scaled = np.linalg.cond(a)
        for ranges, settings in ways:
            share, errors, runs = measure(a, b, ranges, settings, given.dies)
            way = str(ranges) if settings == 1 else f"{ranges}, attenuator {settings}"
            told = " | ".join(f"{error:.2g}" for error in errors)
            print(
                f"| n = {n}, {kind}, condition {scaled:.0f} | {way} | {share:.3f} | {runs:.1f} | {told} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
