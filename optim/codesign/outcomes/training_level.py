"""`TrainingLevel`: what becomes of a training on a design point's dies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ....circuits.errors import InputError
from ....devicemodel.card import DeviceCard
from ....devicemodel.device import Device
from ....devicemodel.devices.ideal import IdealDevice
from ...tasks.task import Score, Task
from ...training.threads import one_thread
from ...training.train import History, train
from ..knobs.design_point import DesignPoint
from ..trainings import LOSS
from .evaluation import Evaluation, curve_of, mean
from .met_systems import MetSystem, exact_settings
from .solve_level import SolveLevel, check_point, settings_at, task_training
from .spice_check import check_count, die_at, in_ngspice, spread, watched


class TrainingLevel:
    """The score and the curve of a training by TNGD.

    Args:
        task: trained, or its name.
        steps, batch: None: the plan's; a point's knobs take their place.
        settings: of TNGD, in place of those of the task's plan; a point's knobs take the place of both.

    Raises:
        InputError: as `study` of a task.
    """

    def __init__(
        self,
        task: Task | str,
        steps: int | None = None,
        batch: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.training = task_training(task, steps, batch, settings)
        self._first = SolveLevel(self.training.task, batch, (0,), settings=settings)

    @property
    def score(self) -> Score:
        """The task's."""
        return self.training.main

    def check(self, card: DeviceCard | None, point: DesignPoint, reading: str) -> None:
        """InputError, before anything is computed, for a point whose settings exclude each other, or that the card does not allow."""
        check_point(self.training, card, point, reading)

    def evaluate(
        self,
        card: DeviceCard | None,
        point: DesignPoint,
        die: int | None,
        seed: int,
        reading: str,
        *,
        in_spice: int = 0,
    ) -> Evaluation:
        """Train to the end.

        Args:
            card: None: the ideal device with exact solutions: exact NGD. point: its knobs.
            die: seed of the die; None: nominal parts. seed: of weights, batches and the device's noise. reading: "refined" or "bare".
            in_spice: number of the systems of this very training whose reading is repeated by ngspice, evenly over its steps
                (`in_ngspice`).

        Raises:
            InputError: as `check`, `DesignPoint.device_at` and `train`.
        """
        check_count(in_spice, card)
        check_point(self.training, card, point, reading)
        training = self.training.at(point)
        settings = settings_at(self.training, point)
        chosen = spread(in_spice, training.steps)
        with one_thread():
            if card is None:
                device: Device = IdealDevice(seed=seed)
                meeting, settings = None, exact_settings(settings)
            else:
                bare = die_at(point, card, die, seed)
                device, meeting = watched(point, bare, chosen)
                settings["reading"] = reading

            def count(done: int, _: History) -> None:
                if meeting is not None:
                    meeting.step = done

            history = train(
                training.task, "tngd", training.steps, training.batch, seed, device=device, callbacks=[count],
                evaluate_every=0, settings=settings,
            )  # fmt: skip
            checked = {} if meeting is None else in_ngspice(bare, _one_a_step(meeting.met))
        loss = mean(history.loss[-max(1, training.steps // 10) :])
        price = mean(history.hardware_seconds), mean(history.hardware_joules)
        if card is None:
            price = self._first.exact_price(point)
        return Evaluation(
            {self.score.name: float(history.final_score), LOSS: loss},
            curve_of(history.loss),
            dict(sorted(Counter(history.outcome).items())),
            history.reading.count("gradient"),
            *price,
            self._area(card, point),
            checked,
        )

    def _area(self, card: DeviceCard | None, point: DesignPoint) -> float:
        try:
            return self._first.area(card, point)
        except InputError:  # a system that cannot be written out has no planned array, but a training may have it
            return math.nan


def _one_a_step(met: list[MetSystem]) -> list[MetSystem]:
    """Of the layers and factors of a step one, of the next step the next one."""
    steps: dict[int, list[MetSystem]] = {}
    for one in met:
        steps.setdefault(one.step, []).append(one)
    return [some[place % len(some)] for place, some in enumerate(steps.values())]
