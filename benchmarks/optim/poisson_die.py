"""Dies that train the small physics-informed network: what they are, how the host uses them, a training, their law."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from thermograd.circuits.files import output_folder
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.programming import Programming
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Device
from thermograd.devicemodel.devices.cell_measurement import measure_cells
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.limits import Imperfections, SmallestDamping, smallest_damping
from thermograd.devicemodel.systems import Dense
from thermograd.optim.curvature.residuals.residual_loss import ResidualLoss
from thermograd.optim.optimizers.ngd import NGD
from thermograd.optim.optimizers.step import StepRecord
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.poisson import poisson
from thermograd.optim.training.train import History, train

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import NoDie, counted

TIME_CONSTANTS = 8.0
CELLS, LEVELS = 360, {1: 32, 2: 128}
"""Unknowns, and levels of the DAC that cells are measured at, by slices."""
TARGETS = (1e-3, 1e-5)
REPEATABILITY = {1: 4e-4, 2: 2e-4}
"""Of measured cells, by slices (`docs/refinement.md`)."""
INTEGRATED = preset("integrated")


@dataclass(frozen=True)
class Setup:
    """A die and how the host uses it.

    Attributes:
        damping: of all steps. steps: of the training.
        kind: "card" is the calibrated one; "preset": the integrated technology with the fields below; "none": no die; "ideal".
        rounds, tolerance, deflation: of `Refined`.
        bits: of resistors, DAC and ADC. mismatch: of resistors. offset: of amplifiers and converters, V.
        gain: of amplifiers. noise: of the ADC, V.
        slices, ranges: of resistors. verified, nulled, leak: write-and-verify, offset nulling, leak compensation.
    """

    damping: float
    steps: int = 40
    kind: Literal["card", "preset", "none", "ideal"] = "card"
    rounds: int = 8
    tolerance: float | None = 1e-2
    deflation: int = 0
    bits: int = 8
    mismatch: float = 0.01
    offset: float = 5e-4
    gain: float = 2e3
    slices: int = 1
    ranges: int = 1
    verified: bool = False
    nulled: bool = False
    leak: bool = False
    noise: float = 5e-4

    @property
    def technology(self) -> Technology:
        """The integrated preset with these fields."""
        return INTEGRATED.replace(
            resistors__bits=self.bits,
            resistors__tolerance=self.mismatch,
            resistors__slices=self.slices,
            resistors__drive_ranges=self.ranges,
            dac__bits=self.bits,
            adc__bits=self.bits,
            dac__offset=self.offset,
            adc__offset=self.offset,
            opamp__offset=self.offset,
            opamp__gain=self.gain,
            adc__noise=self.noise,
        )

    def device(self, card: DeviceCard, die: int) -> Device:
        """Refined, but for the ideal one."""
        if self.kind == "ideal":
            return IdealDevice()
        if self.kind == "none":
            return Refined(NoDie(), self.rounds, self.tolerance, method="fcg", deflation=self.deflation)
        own = card if self.kind == "card" else DeviceCard.uncalibrated(self.technology)
        cells = None
        if self.verified:
            cells = measure_cells(SurrogateDevice(own, die, extrapolate=True), CELLS, LEVELS[self.slices])
        programming, read_out = Programming(self.leak, cells), ReadOut(null_offsets=self.nulled)
        one = SurrogateDevice(own, die, read_out=read_out, programming=programming, extrapolate=True)
        return Refined(one, self.rounds, self.tolerance, deflation=self.deflation)


def one(setup: Setup, card: DeviceCard, seed: int) -> dict[str, Any]:
    """One training."""
    torch.set_num_threads(1)
    device, records, made = setup.device(card, seed + 1), list[StepRecord](), list[TNGD]()

    def optimizer(params: Iterable[Tensor]) -> TNGD:
        made.append(
            TNGD(
                params,
                lr=1.0,
                damping=setup.damping,
                duration=math.inf if setup.kind == "ideal" else TIME_CONSTANTS / setup.damping,
                device=device,
                line_search=True,
                geodesic=0.75,
            )
        )
        return made[0]

    def follow(_: int, __: History) -> None:
        records.append(made[0].last)

    history = train(poisson(seed=seed), optimizer, setup.steps, seed=seed, evaluate_every=2, callbacks=[follow])
    middle = {
        name: statistics.median(getattr(record, name) for record in records)
        for name in ("rounds", "attempts", "products", "analog_seconds")
    }
    return {
        "evaluations": history.evaluations,
        "retried": sum(record.retries > 0 for record in records),
        "gradient": history.reading.count("gradient"),
        "residual": statistics.median(record.residual or 0.0 for record in records),
        **middle,
    }


class Runs:
    """Trainings of setups, each stored."""

    def __init__(self, folder: Path, card: DeviceCard, workers: int) -> None:
        self.store: JobStore[dict[str, Any]] = JobStore(output_folder(folder))
        self.card, self.workers = card, workers

    def of(self, setups: Iterable[Setup], seeds: list[int]) -> dict[Setup, list[dict[str, Any]]]:
        """Results by setup, one for each seed."""
        jobs = {
            job_key(repr(setup), seed, self.card.model_dump_json() if setup.kind == "card" else ""): (
                setup,
                seed,
            )
            for setup in setups
            for seed in seeds
        }
        done = dict(self.store.map(lambda job: one(job[0], self.card, job[1]), jobs, self.workers, progress=counted))
        print(file=sys.stderr)
        found: dict[Setup, list[dict[str, Any]]] = {}
        for key, (setup, _) in jobs.items():
            found.setdefault(setup, []).append(done[key])
        return found


def system(seed: int = 0, steps: int = 20, interior: int = 200, boundary: int = 160) -> tuple[Tensor, Tensor]:
    """K and the drive after some steps with a damping of 1e-4."""
    task = poisson(seed=seed, interior=interior, boundary=boundary)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.model()
    optimizer = NGD(model.parameters(), lr=1.0, damping=1e-4, line_search=True, geodesic=0.75)
    problem = task.closure(model, 0, None, 0)
    assert isinstance(problem, ResidualLoss)
    for _ in range(steps):
        optimizer.step(problem)
    linear = problem.linearise(list(model.parameters()))
    assert linear is not None
    return linear[1].gram(), linear[1].sources


def by_law(setup: Setup, K: Tensor) -> SmallestDamping:
    """Of a residual of 1e-2 in at most 20 rounds (`docs/limits.md`)."""
    now = Imperfections.of(setup.technology)
    now = now.verified(REPEATABILITY[setup.slices]) if setup.verified else now
    now = now.offsets_nulled() if setup.nulled else now
    now = now.leak_compensated() if setup.leak else now
    return smallest_damping(K.numpy(), now, target=1e-2, rounds=20, deflation=setup.deflation)


def of_bits(bits: int, deflation: int, damping: float, steps: int = 40) -> Setup:
    """A die all of whose errors are those of 8 bits by powers of 2; nothing is known of its leak."""
    share = 2.0 ** (8 - bits)
    return Setup(
        damping,
        steps,
        "preset",
        deflation=deflation,
        bits=bits,
        mismatch=0.01 * share,
        offset=5e-4 * share,
        gain=2e3 / share,
        noise=5e-4 * share,
    )


def damped(K: Tensor, damping: float) -> Dense:
    return Dense(K + damping * torch.eye(len(K), dtype=K.dtype), floor=damping)
