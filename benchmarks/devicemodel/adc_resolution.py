"""The smallest useful resolution of an ADC, with and without the amplifiers' noise, on systems like those of handwritten digits.

    python benchmarks/devicemodel/adc_resolution.py            (some seconds)

The error of a reading by noise is the rms, over the unknowns of some systems and over repeated readings with 24 bits, of its distance from
the reading of the same die without noise, over the solution's own rms; that by rounding is the same of a die without noise and an ADC of
fewer bits. Their squares add up. The smallest useful resolution is the first at which both together are within `SHARE` of the noise: a
further bit reads noise. All else is switched off: DACs do not round, converters have no errors and no noise of their own. The systems are
dual curvature matrices K + damping of batches of digits, K = (x_i . x_j) of centred images of unit mean square norm; b is their parity.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

IMAGES, SYSTEMS, READINGS, DAMPING, SHARE = 16, 3, 12, 0.3, 0.1
BITS = tuple(range(6, 23))
PERFECT = dict.fromkeys(("gain_error", "offset", "noise", "gain_mismatch"), 0.0)


def systems() -> list[tuple[Dense, torch.Tensor]]:
    """Curvature matrices of digits, and right-hand sides."""
    images, labels = load_digits(return_X_y=True)
    images = images - images.mean(axis=0)
    found = []
    for seed in range(SYSTEMS):
        some = np.random.default_rng(seed).choice(len(images), IMAGES, replace=False)
        gram = images[some] @ images[some].T
        matrix = gram / np.diag(gram).mean() + DAMPING * np.eye(IMAGES)
        found.append((Dense(torch.from_numpy(matrix)), torch.from_numpy(1.0 - 2.0 * (labels[some] % 2))))
    return found


def case(technology: Technology, amplifiers: bool, bandwidth: float, bits: int, noisy: bool) -> Technology:
    """The technology with what is not asked for switched off."""
    quiet = {} if amplifiers else {"opamp__noise_voltage": 0.0, "opamp__noise_current": 0.0}
    dac = {f"dac__{name}": 0.0 for name in PERFECT if name != "noise"}
    adc = {f"adc__{name}": value for name, value in PERFECT.items()}
    return technology.replace(
        dac__bits=None, adc__bits=bits, adc__bandwidth=bandwidth, thermal__johnson_noise=noisy, **dac, **adc, **quiet
    )


def readings(technology: Technology, count: int = 1) -> np.ndarray:
    """(systems, count, n) of one die at rest."""
    card, found = DeviceCard.uncalibrated(technology), []
    for system, b in systems():
        device = SurrogateDevice(card, die=1, extrapolate=True)
        device.solve(system, b, 40.0 / DAMPING)
        found.append(np.stack([device.solve(system, b, 40.0 / DAMPING).x.numpy() for _ in range(count)]))
    return np.stack(found)


def relative(seen: np.ndarray, exact: np.ndarray) -> float:
    """Rms of the difference over that of the exact reading."""
    return float(np.sqrt(((seen - exact) ** 2).mean() / (exact**2).mean()))


def main() -> None:
    print("  noise of a reading, and the smallest useful resolution\n")
    print(f"  {'technology':12}{'sampler':>12}{'resistors alone':>20}{'with amplifiers':>20}")
    for name in ("integrated", "breadboard"):
        technology = preset(name)
        tau = technology.resistors.unit * technology.capacitors.unit
        exact = readings(case(technology, False, np.inf, 24, False))
        rounding = {bits: relative(readings(case(technology, False, np.inf, bits, False)), exact) for bits in BITS}
        for times, label in ((np.inf, "full band"), (3.0, "3 / tau"), (0.3, "0.3 / tau")):
            words = []
            for amplifiers in (False, True):
                bandwidth = times / (2 * np.pi * tau)
                noise = relative(readings(case(technology, amplifiers, bandwidth, 24, True), READINGS), exact)
                useful = (bits for bits in BITS if np.hypot(noise, rounding[bits]) <= (1 + SHARE) * noise)
                words.append(f"{noise:.1e}, {next(useful, '> 22')} bits")
            print(f"  {name:12}{label:>12}{words[0]:>20}{words[1]:>20}")


if __name__ == "__main__":
    main()
