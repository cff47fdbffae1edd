"""What heat that moves does to a program that stays: a die that warms up, and an ambient that drifts.

    python benchmarks/devicemodel/warming.py [--plot docs/warming.png] [--cost]

Technology `integrated`, one die, 32 unknowns, condition 10. `Refined` readings go on with the same program. First: a cold die whose
supplies are switched on, crossbar, 64 unknowns, in two packages. Second: beside a GPU, whose air wanders by 5 K rms in a minute, a crossbar
and a passive array. Changes are those of the noiseless reading since the start, relative to it: what a calibration made then loses. Errors
are those of a reading with all noise and mismatch. --cost: the time of a run that follows the temperature over that of one that does not.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from thermograd.circuits.technology.presets import preset, thermal_preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.report.figures.style import BLUE, GREEN, GREY, ORANGE, VERMILLION, WIDE, styled

DIE, CONDITION = 3, 10.0
MINUTES, CORRELATION, READINGS = 5.0, 60.0, 100
DURATION = 100.0


def system(fabric: str, n: int, seed: int = 0) -> tuple[Dense, torch.Tensor]:
    """A random positive definite matrix of this condition number and a right-hand side; diagonally dominant for `dual_rail`."""
    rng = np.random.default_rng([seed, n])
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    a = (basis * np.geomspace(1.0, CONDITION, n)) @ basis.T
    a = (a + a.T) / 2
    if fabric == "dual_rail":
        off = np.abs(a).sum(axis=1) - np.diag(a)
        a = a + np.diag(np.maximum(1.2 * off - np.diag(a), 0.0))
    return Dense(torch.tensor(a)), torch.tensor(rng.standard_normal(n))


def device(technology: Technology, fabric: str, quiet: bool) -> SurrogateDevice:
    """One die; quiet: without noise and converters' steps, so that a small change shows."""
    if quiet:
        technology = technology.replace(
            thermal__johnson_noise=False, opamp__noise_voltage=0.0, adc__noise=0.0, adc__bits=None, dac__bits=None
        )
    return SurrogateDevice(DeviceCard.uncalibrated(technology, fabric), DIE)


def moving(situation: str, correlation: float = math.inf) -> Technology:
    """`integrated` in a thermal situation, with temperatures that move."""
    thermal = thermal_preset(situation).model_copy(update={"dynamic": True, "ambient_time": correlation})
    return preset("integrated").replace(thermal=thermal)


def followed(found: SurrogateDevice, fabric: str, n: int, times: np.ndarray) -> dict[str, np.ndarray]:
    """Readings of one program at these times, s: change since the first, error, mean temperature and ambient."""
    (a, b), rows = system(fabric, n), []
    exact = torch.linalg.solve(a.A, b)
    for wait in np.diff(times, prepend=0.0):
        found.idle(float(wait))
        x = found.solve(a, b, DURATION, x0=torch.zeros_like(b)).x
        rows.append((x, float((x - exact).norm() / exact.norm()), found.temperatures.mean(), found.ambient))
    readings, error, kelvin, ambient = zip(*rows, strict=True)
    first = readings[0]
    change = [float((x - first).norm() / first.norm()) for x in readings]
    return {
        name: np.array(values)
        for name, values in zip(("change", "error", "kelvin", "ambient"), (change, error, kelvin, ambient), strict=True)
    }


def refined(found: SurrogateDevice, fabric: str, n: int, times: np.ndarray) -> np.ndarray:
    """Errors of refined readings at these times."""
    (a, b), reader, errors = system(fabric, n), Refined(found), []
    exact = torch.linalg.solve(a.A, b)
    for wait in np.diff(times, prepend=0.0):
        found.idle(float(wait))
        errors.append(float((reader.solve(a, b, DURATION).x - exact).norm() / exact.norm()))
    return np.array(errors)


def warm_up() -> dict[str, tuple[np.ndarray, dict[str, np.ndarray]]]:
    """A die whose supplies are switched on, in two packages."""
    seen = {}
    for situation, end in (("isolated", 25.0), ("packaged", 2.0)):
        times = np.linspace(0.0, end, 40)
        found = device(moving(situation), "crossbar", quiet=True)
        found.set_temperatures(found.die.temperatures)
        seen[situation] = times, followed(found, "crossbar", 64, times)
        one = seen[situation][1]
        print(
            f"  {situation:10} crossbar: {one['kelvin'][-1] - one['kelvin'][0]:.2f} K, change {100 * one['change'][-1]:.4f} %, "
            f"error {100 * one['error'][0]:.2f} % before and {100 * one['error'][-1]:.2f} % after"
        )
    return seen


def wandering() -> dict[str, dict[str, np.ndarray]]:
    """An ambient that drifts, around two fabrics."""
    times, technology, seen = np.linspace(0.0, 60 * MINUTES, READINGS), moving("beside a GPU", CORRELATION), {}
    for fabric in ("crossbar", "dual_rail"):
        quiet = followed(device(technology, fabric, quiet=True), fabric, 32, times)
        bare = followed(device(technology, fabric, quiet=False), fabric, 32, times)
        better = refined(device(technology, fabric, quiet=False), fabric, 32, times)
        seen[fabric] = {**quiet, "bare": bare["error"], "refined": better, "minutes": times / 60}
        print(
            f"  {fabric:10} die {quiet['kelvin'].std():.2f} K rms; change: median {100 * np.median(quiet['change']):.3f} %, "
            f"largest {100 * quiet['change'].max():.3f} %; error bare {100 * np.median(bare['error']):.2f} %, "
            f"refined {100 * np.median(better):.1e} %"
        )
    return seen


def cost() -> None:
    """Medians of the ratio of CPU times, side by side."""
    for n in (8, 64, 600):
        a, b = system("crossbar", n)
        still = preset("integrated")
        kinds = {
            "steady": still,
            "dynamic, runs alone": still.replace(thermal__dynamic=True),
            "dynamic, 10 ms between runs": still.replace(
                thermal__dynamic=True, thermal__ambient_time=CORRELATION, thermal__between_runs=0.01
            ),
        }
        made = {name: SurrogateDevice(DeviceCard.uncalibrated(one, "crossbar"), DIE) for name, one in kinds.items()}
        spent: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(4 if n == 600 else 30):
            for name, one in made.items():
                began = time.process_time()
                for _ in range(3):
                    one.solve(a, b, DURATION)
                spent[name].append(time.process_time() - began)
        base = np.array(spent["steady"][1:])
        ratios = {name: float(np.median(np.array(values[1:]) / base)) for name, values in spent.items()}
        text = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items() if name != "steady")
        print(f"  n = {n}: {1e3 * np.median(base) / 3:.2f} ms a steady run; times as long: {text}")


@styled
def picture(
    warm: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]], drift: dict[str, dict[str, np.ndarray]]
) -> Figure:
    """Warm-up; ambient and die; changes and errors."""
    figure = Figure(figsize=(WIDE, 3.4), layout="constrained")
    first, second, third = figure.subplots(1, 3)
    for (situation, (times, one)), colour in zip(warm.items(), (VERMILLION, BLUE), strict=True):
        first.plot(times, one["kelvin"] - one["kelvin"][0], color=colour, label=situation)
    first.set(title="Supplies switched on, n = 64", xlabel="seconds", ylabel="rise of the die, K")
    first.legend()
    one = drift["crossbar"]
    second.plot(one["minutes"], one["ambient"], color=GREY, label="air")
    second.plot(one["minutes"], one["kelvin"], color=VERMILLION, label="die, mean")
    second.set(title="Beside a GPU", xlabel="minutes", ylabel="temperature, K")
    second.legend()
    for (fabric, one), colour in zip(drift.items(), (BLUE, ORANGE), strict=True):
        third.semilogy(one["minutes"][1:], 100 * one["change"][1:], color=colour, label=f"{fabric}: change")
        third.semilogy(one["minutes"], 100 * one["bare"], color=colour, linestyle=":", label=f"{fabric}: error, bare")
    third.semilogy(
        drift["crossbar"]["minutes"], 100 * drift["crossbar"]["refined"], color=GREEN, label="crossbar: error, refined"
    )
    third.set(title="The same program all the time", xlabel="minutes", ylabel="% of |x|")
    third.legend(fontsize=7)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="file for the picture")
    parser.add_argument("--cost", action="store_true", help="time runs instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.cost:
        cost()
        return
    print("supplies switched on:")
    warm = warm_up()
    print(f"ambient of 5 K rms and {CORRELATION:g} s, {MINUTES:g} minutes:")
    drift = wandering()
    if arguments.plot is not None:
        picture(warm, drift).savefig(arguments.plot, dpi=130)
        print(f"wrote {arguments.plot}")


if __name__ == "__main__":
    main()
