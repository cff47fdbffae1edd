"""One solve at random points of the design space, by the surrogate and by ngspice on the netlist of the same die.

    OMP_NUM_THREADS=1 python benchmarks/optim/codesign/surrogate_against_spice.py [--points 30]        (some ten minutes of a core)

A point is one of a Latin hypercube over `RANGES`, on the shipped card of `integrated` or of `gf180mcu` in turn, with wires and switches in
every fifth; its system is one that exact NGD meets (digits; 9, 18 or 27 unknowns, 9 with wires), its die is drawn. Both devices program it,
load the drive and run for the point's duration.

Without thermal noise. V are the voltages of the cells when they are read, V0 those of the exact path, of no error at all. R^2 of the
voltages is 1 - sum |V_s - V_n|^2 / sum |V_n|^2, each point by its own rms, and that of the deviations, the errors that a design point is
judged by, 1 - sum |V_s - V_n|^2 / sum |V_n - V0|^2, over the points within the output limit; e is the error of the reading, converters
included, |x - x0| / |x0|. Control: the surrogate of another die.

With thermal noise. One run of ngspice against `SEEDS` of the surrogate: (V_n - mean V_s) / (s sqrt(1 + 1 / SEEDS)) of each cell has the law
of Student's t, and so a root mean square of sqrt((SEEDS - 1) / (SEEDS - 3)), by which it is divided here; the errors
|V - V0| / |V0| likewise. Cells of a point share their noise, so that the standard error of that root mean square is by points. Control: s
as if noise had 1.3 times the power.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import qmc

from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.optim.codesign.knobs import KNOBS, DesignPoint
from thermograd.optim.codesign.outcomes import SolveLevel
from thermograd.optim.codesign.outcomes.met_systems import MetSystem
from thermograd.optim.codesign.outcomes.spice_check import die_at, solved, spice_of, surrogate_of

RANGES: dict[str, tuple[float, float]] = {
    "resistors.tolerance": (1e-3, 5e-2),
    "capacitors.tolerance": (1e-3, 5e-2),
    "resistors.bits": (5, 10),
    "resistors.write_noise": (1e-4, 1e-2),
    "opamp.gain": (1e2, 1e5),
    "opamp.gbw": (3e7, 1e9),
    "opamp.offset": (1e-5, 3e-3),
    "opamp.noise_voltage": (1e-9, 3e-8),
    "dac.bits": (5, 10),
    "dac.inl": (1e-4, 3e-3),
    "adc.bits": (4, 10),
    "adc.inl": (1e-4, 3e-3),
    "adc.noise": (1e-5, 3e-3),
    "thermal.to_hot": (1e-4, 1e-2),
    "tngd.damping": (0.1, 1.0),
    "tngd.duration": (5.0, 50.0),
}
"""Knobs that are drawn, evenly, or evenly in the logarithm where the knob says so."""
CARDS = ("shipped:integrated", "shipped:gf180mcu")
STEPS, BATCHES = (5, 50, 150), (1, 2, 3)
WIRES = 5
"""Every so many points have wires."""
SEEDS = 24
WRONG_POWER = 1.3


@dataclass(frozen=True)
class Seen:
    """A run: voltages of the cells, those of the exact path, and the error of the reading; None: no reading."""

    volts: np.ndarray
    ideal: np.ndarray
    error: float
    clipped: bool

    @property
    def off(self) -> float:
        """|V - V0| / |V0|."""
        return float(np.linalg.norm(self.volts - self.ideal) / np.linalg.norm(self.ideal))


def points(count: int, seed: int) -> list[tuple[DesignPoint, str, int, int, int]]:
    """(point, card, batch, step, die) of each."""
    drawn = qmc.LatinHypercube(len(RANGES), rng=np.random.default_rng(seed)).random(count)
    rng, found = np.random.default_rng([seed, 1]), []
    for place, row in enumerate(drawn):
        values: dict[str, Any] = {"device.layout": True} if place % WIRES == 0 else {}
        for (name, (low, high)), share in zip(RANGES.items(), row, strict=True):
            if KNOBS[name].allowed.kind == "whole":
                values[name] = int(low + math.floor(share * (high - low + 1)))
            else:
                values[name] = low * (high / low) ** share
        batch = 1 if place % WIRES == 0 else int(rng.choice(BATCHES))
        found.append((DesignPoint(values), CARDS[place % 2], batch, int(rng.choice(STEPS)), int(rng.integers(1, 1000))))
    return found


def seen(device: SurrogateDevice | SpiceDevice, system: MetSystem) -> Seen | None:
    """One run of a new device."""
    found, exact = solved(device, system), solved(IdealDevice(), system).x.numpy()
    probe = device.probe
    if not found.outcome.readable or probe is None or not np.any(probe.read):
        return None
    x = found.x.numpy()
    largest = np.abs(probe.read).argmax()
    unit = probe.read[largest] / x[largest]
    error = float(np.linalg.norm(x - exact) / np.linalg.norm(exact))
    assert np.allclose(probe.read, unit * x, rtol=1e-6, atol=1e-9 * abs(probe.read[largest]))
    return Seen(probe.settled, unit * exact, error, found.outcome not in (Outcome.OK, Outcome.EXTRAPOLATED))


def with_seed(die: SurrogateDevice, seed: int) -> SurrogateDevice:
    """The die with other noise, and the write noise of its own."""
    own = die.die.seed
    return SurrogateDevice(die.card, own, seed, die.read_out, die.layout, True, die.programming)


def no_write_noise(point: DesignPoint) -> DesignPoint:
    """Write noise is drawn by the seed of the noise: with many seeds, dies would differ."""
    return point | {"resistors.write_noise": 0.0, "adc.noise": 0.0}


@dataclass
class Row:
    """Of one point."""

    unknowns: int
    clipped: bool
    off: float
    error: float
    errors: tuple[float, float]
    other: float
    t: np.ndarray
    t_wrong: np.ndarray
    t_error: float
    seconds: float


def compare(point: DesignPoint, card: DeviceCard, system: MetSystem, die: int) -> Row | None:
    """A point's row; None where neither has a reading."""
    started = time.perf_counter()
    quiet = die_at(point, card, die, 0)
    surrogate, spice = (seen(device, system) for device in (surrogate_of(quiet, False), spice_of(quiet, False)))
    other = seen(surrogate_of(die_at(point, card, die + 1000, 0), False), system)
    if surrogate is None or spice is None:
        if (surrogate is None) != (spice is None):
            raise RuntimeError(f"{point} on die {die}: of surrogate and ngspice one has a reading, the other none")
        return None
    size = float(np.sum(spice.volts**2))
    off, error = (float(np.sum((spice.volts - one) ** 2)) / size for one in (surrogate.volts, spice.ideal))
    noisy = die_at(no_write_noise(point), card, die, 0)
    one = seen(spice_of(noisy), system)
    many = [found for found in (seen(with_seed(noisy, seed), system) for seed in range(1, SEEDS + 1)) if found]
    t, t_error = np.zeros(0), math.nan
    if one is not None and len(many) == SEEDS and not (one.clipped or many[0].clipped):
        scale = math.sqrt((1 + 1 / SEEDS) * (SEEDS - 1) / (SEEDS - 3))
        volts, errors = np.stack([found.volts for found in many]), np.array([found.off for found in many])
        t = (one.volts - volts.mean(axis=0)) / volts.std(axis=0, ddof=1) / scale
        t_error = float((one.off - errors.mean()) / errors.std(ddof=1) / scale)
    return Row(
        len(system.b), spice.clipped, off, error, (surrogate.error, spice.error),
        math.nan if other is None else float(np.sum((spice.volts - other.volts) ** 2)) / size,
        t, t / math.sqrt(WRONG_POWER), t_error, time.perf_counter() - started,
    )  # fmt: skip


def explained(left: list[float], varied: list[float]) -> float:
    """R^2."""
    return 1 - math.fsum(left) / math.fsum(varied)


def rms(rows: list[np.ndarray]) -> tuple[float, float]:
    """Root mean square over all cells, and its standard error by points."""
    means = np.array([np.mean(row**2) for row in rows])
    value = math.sqrt(means.mean())
    return value, float(means.std(ddof=1) / math.sqrt(len(means)) / (2 * value))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=30)
    parser.add_argument("--seed", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    levels = {batch: SolveLevel("digits", batch, STEPS) for batch in BATCHES}
    cards = {name: DeviceCard.read(name) for name in CARDS}
    print(
        "| card | wires | unknowns | e, surrogate | e, ngspice | V apart, relative | V off V0, relative | noise: rms of t | s |"
    )
    print(f"|{'---|' * 9}")
    rows = []
    for point, name, batch, step, die in points(arguments.points, arguments.seed):
        system = next(
            one
            for one in levels[batch].systems(DesignPoint({"tngd.damping": point["tngd.damping"]}))
            if one.step == step
        )
        system = dataclasses.replace(system, duration=point.settings["duration"])
        row = compare(point, cards[name], system, die)
        wires = "yes" if "device.layout" in point else ""
        if row is None:
            print(f"| {name[8:]} | {wires} | {len(system.b)} | no reading | no reading | | | | |", flush=True)
            continue
        rows.append(row)
        spread = f"{math.sqrt(np.mean(row.t**2)):.2f}" if len(row.t) else "clipped"
        print(
            f"| {name[8:]} | {wires} | {row.unknowns} | {row.errors[0]:.4g} | {row.errors[1]:.4g} | {math.sqrt(row.off):.1e} | "
            f"{math.sqrt(row.error):.1e} | {spread} | {row.seconds:.0f} |",
            flush=True,
        )
    whole = [row for row in rows if not row.clipped]
    print(f"\n{len(rows)} points with a reading, {len(whole)} of them within the output limit")
    print(f"R^2 of noiseless voltages, all points {explained([r.off for r in rows], [1.0] * len(rows)):.6f}")
    print(
        f"R^2 of their deviations from the exact path {explained([r.off for r in whole], [r.error for r in whole]):.6f}"
    )
    print(f"  the worst point {min(1 - row.off / row.error for row in whole):.6f}")
    logs = np.log([row.errors for row in rows])
    print(
        f"R^2 of ln e {1 - np.sum((logs[:, 0] - logs[:, 1]) ** 2) / np.sum((logs[:, 1] - logs[:, 1].mean()) ** 2):.6f}"
    )
    others = [row for row in whole if math.isfinite(row.other)]
    print(
        f"control, another die: R^2 of the deviations {explained([r.other for r in others], [r.error for r in others]):.3f}"
    )
    ts = [row.t for row in rows if len(row.t)]
    value, std = rms(ts)
    print(f"with noise, {len(ts)} points and {sum(map(len, ts))} cells: rms of t {value:.3f} +- {std:.3f}")
    value, std = rms([row.t_wrong for row in rows if len(row.t)])
    print(f"  control, {WRONG_POWER} times the noise's power: {value:.3f} +- {std:.3f}")
    t = np.array([row.t_error for row in rows if math.isfinite(row.t_error)])
    print(f"  of |V - V0| / |V0| of {len(t)} points: rms {math.sqrt(np.mean(t**2)):.2f}, largest {np.abs(t).max():.1f}")


if __name__ == "__main__":
    main()
