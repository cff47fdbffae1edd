"""What a design costs by its plan: parts of a step, area, provenance and what speaks against building it."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import Any

from ....circuits.errors import InputError
from ....devicemodel.card import DeviceCard
from ....devicemodel.cost.digital_host import DigitalHost
from ....devicemodel.cost.model import Scenario
from ....devicemodel.cost.prices import prices_of
from ....devicemodel.cost.refinement import ReadingPlan
from ....devicemodel.cost.step import StepCost
from ...optimizers.readings.reading import ROUNDS
from ...tasks.task import Task
from ...training.hardware_time import Network, measured_network
from ...training.train import settings_for
from ..knobs.design_point import DesignPoint


@dataclass(frozen=True)
class Pricing:
    """Prices designs of one task.

    Attributes:
        network: of the task, with its batch. settings: of TNGD. steps: of a training. host: beside the array.
    """

    network: Network
    settings: dict[str, Any]
    steps: int
    host: DigitalHost = dataclasses.field(default_factory=DigitalHost)

    @classmethod
    def of(cls, task: Task, steps: int, batch: int | None, settings: dict[str, Any]) -> Pricing:
        """Of a task, whose forward pass is counted on a network of it."""
        network = measured_network(task.model(), functools.partial(task.closure, step=0, batch=batch, seed=0))
        return cls(network, {**settings_for(task, "tngd"), **settings}, steps)

    def steps_of(self, point: DesignPoint) -> int:
        """Updates of a whole training of a design."""
        return self.steps if point.steps is None else point.steps

    def step(self, card: DeviceCard, point: DesignPoint, reading: str, rounds: int | None = None) -> StepCost | None:
        """A step by its plan. None: there is no model of such an array.

        Args:
            card: with the design's figures in it. point: with its knobs of host and optimizer.
            rounds: corrections of a refined reading; None: as many as it may take.
        """
        network, settings = self._network(point), {**self.settings, **point.settings}
        if settings.get("system", "dual") not in ("dual", "auto"):
            return None
        most = int(point.get("refined.rounds", ROUNDS) or 0) if rounds is None else rounds
        plan = ReadingPlan(most, bool(point.get("refined.chopped", True))) if reading == "refined" else ReadingPlan()
        duration = float(settings["duration"])
        try:
            return Scenario(
                network.parameters,
                network.samples,
                network.outputs,
                layout="dual",
                technology=card.technology,
                duration=duration if math.isfinite(duration) else None,
                host=self.host,
                reading=plan,
                forward=network.forward or None,
            ).cost()
        except InputError:
            return None

    def _network(self, point: DesignPoint) -> Network:
        batch = point.batch
        if batch is None or batch == self.network.samples:
            return self.network
        return dataclasses.replace(
            self.network, samples=batch, forward=self.network.forward * batch / self.network.samples
        )

    def parts(
        self, card: DeviceCard, point: DesignPoint, reading: str, seconds: float, joules: float
    ) -> dict[str, dict[str, float]]:
        """Seconds and joules of a whole training by group, which add up to these totals.

        Shares are those of the plan whose number of corrections comes closest to the time; corrections end early at their tolerance.
        """
        most = int(point.get("refined.rounds", ROUNDS) or 0) if reading == "refined" else 0
        plans = [self.step(card, point, reading, rounds) for rounds in range(most + 1)]
        steps = self.steps_of(point)
        known = [one for one in plans if one is not None and one.seconds and one.joules]
        if not known:
            return {}
        cost = min(known, key=lambda one: abs(steps * one.seconds - seconds) if math.isfinite(seconds) else 0.0)
        of_time, of_energy = cost.groups(), cost.groups(energy=True)
        return {
            name: {"seconds": seconds * of_time[name] / cost.seconds, "joules": joules * of_energy[name] / cost.joules}
            for name in of_time
        }


def unsourced(card: DeviceCard) -> list[str]:
    """Figures behind the prices that nobody measured, simulated or published: chosen ones, by name, and those without a source."""
    found = []
    for price in prices_of(card.technology, DigitalHost()):
        if price.doubt:
            found.append(f"{price.figure}: {price.doubt}")
        elif price.kind == "chosen":
            found.append(f"{price.figure}: chosen, {price.source}")
    areas = card.technology.area
    if areas is None:
        return [*found, "area: the technology states none"]
    return found + [
        f"area.{name}: chosen, {figure.source}" for name, figure in areas.figures().items() if figure.kind == "chosen"
    ]
