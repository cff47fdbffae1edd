"""`SolveLevel`: how wrong a design point's dies solve the systems that a training meets."""

from __future__ import annotations

import math
import statistics
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ....circuits.errors import InputError
from ....compiler.linear_system import LinearSystem
from ....devicemodel.card import DeviceCard
from ....devicemodel.device import Device
from ....devicemodel.devices.ideal import IdealDevice
from ....devicemodel.host.refine import Refined
from ....devicemodel.systems import Dense
from ...optimizers.readings.arguments import READ_INTERVAL
from ...optimizers.readings.reading import ROUNDS, TOLERANCE, Answer, averaged, refined
from ...tasks.task import Score, Task
from ...training.code_digest import code_digest
from ...training.hardware_time import Network
from ...training.threads import one_thread
from ...training.train import settings_for
from ..knobs.design_point import DesignPoint
from ..trainings import TaskTraining, as_training
from .evaluation import Evaluation
from .met_systems import KEPT, MetSystem, exact_settings, systems_of_exact_ngd
from .price import UNKNOWN, Price, array_area, host_price, network_of, step_price
from .spice_check import check_count, die_at, in_ngspice, spread, watched

SOLVE_ERROR = Score("solve error", more_is_better=False, target=0.01)
"""|x - A^-1 b| / |A^-1 b|, median over the systems."""
_met: OrderedDict[tuple[Any, ...], tuple[list[MetSystem], Network]] = OrderedDict()
"""Systems and network of the latest trainings: a worker process unpickles its level with each job."""


class SolveLevel:
    """The error of one solve, on systems that exact NGD meets in a training: seconds an evaluation, most of them for the first.

    Args:
        task: trained, or its name.
        batch: samples of a step; None: the plan's.
        steps: numbers of the steps, from 0, whose systems are solved.
        seeds: of the trainings that they are met in.
        settings: of TNGD, in place of those of the task's plan; a point's knobs take the place of both.

    Raises:
        InputError: no steps or seeds, negative ones, or one twice; as `study` of a task.
    """

    def __init__(
        self,
        task: Task | str,
        batch: int | None = None,
        steps: Sequence[int] = (5, 50, 150),
        seeds: Sequence[int] = (0,),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        for name, given in (("steps", steps), ("seeds", seeds)):
            whole = all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in given)
            if not given or not whole or len(set(given)) < len(given):
                raise InputError(f"{name} of the solves are {list(given)}; give at least one, integers >= 0, each once")
        self.training = task_training(task, None, batch, settings)
        self.steps, self.seeds = tuple(steps), tuple(seeds)
        self._digest = code_digest(self.training.task, f"the task {self.training.name}").text

    @property
    def score(self) -> Score:
        """`SOLVE_ERROR`."""
        return SOLVE_ERROR

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
        """The systems of all steps and seeds, solved one after another on one die as a training step solves them.

        A refined reading that does not converge is tried again with more damping, and is the scaled gradient in the end, as in training. A
        solve without a usable reading counts as x = 0, which is the step that it makes: an error of 1.

        Args:
            card: None: the ideal device, and exact solutions. point: its knobs; `training.steps` changes nothing.
            die: seed of the die; None: nominal parts. seed: of the device's noise. reading: "refined" or "bare".
            in_spice: number of the systems whose reading is repeated by ngspice (`in_ngspice`).

        Raises:
            InputError: as `check`, `DesignPoint.device_at` and `systems_of_exact_ngd`.
        """
        check_count(in_spice, card)
        with one_thread():
            found, network = self._systems(point)
            settings = settings_at(self.training, point)
            meeting = None
            if card is None:
                device: Device = IdealDevice(seed=seed)
                settings, reading = exact_settings(settings), "bare"
            else:
                bare = die_at(point, card, die, seed)
                device, meeting = watched(point, bare, spread(in_spice, len(found)))
            check_point(self.training, card, point, reading)
            refines = reading == "refined"
            if refines and not isinstance(device, Refined):
                device = Refined(device, ROUNDS, TOLERANCE)
            errors, answers = [], []
            for place, system in enumerate(found):
                if meeting is not None:
                    meeting.step = place
                answers.append(_answer(device, system, settings, refines))
                errors.append(_error(system, answers[-1]))
            price = UNKNOWN
            if card is None:
                price = self.exact_price(point)
            elif settings.get("system", "dual") == "dual" and settings.get("curvature_every", 1) == 1:
                price = step_price(device, network, [(one, met.floor) for one, met in zip(answers, found, strict=True)])
            checked = {} if meeting is None else in_ngspice(bare, meeting.met)
        return Evaluation(
            {SOLVE_ERROR.name: statistics.median(errors)},
            outcomes=dict(sorted(Counter(one.outcome.value for one in answers).items())),
            gradient=sum(one.reading == "gradient" for one in answers),
            seconds=price[0],
            joules=price[1],
            area=self.area(card, point),
            spice=checked,
        )

    def area(self, card: DeviceCard | None, point: DesignPoint) -> float:
        """Of the array of a point's largest system (`price.array_area`), m^2; nan without a card."""
        if card is None:
            return math.nan
        with one_thread():
            found, network = self._systems(point)
        turned = point.card_at(card)
        return array_area(turned.technology, turned.fabric, max(len(one.b) for one in found), network.parameters)

    def exact_price(self, point: DesignPoint) -> Price:
        """Of a step of exact NGD on the host alone (`price.host_price`), of the dual system."""
        if settings_at(self.training, point).get("system", "dual") != "dual":
            return UNKNOWN
        with one_thread():
            found, network = self._systems(point)
        return host_price(network, len(found[0].b))

    def systems(self, point: DesignPoint | None = None) -> list[MetSystem]:
        """The systems of a point, of one training after another, which depend on its knobs of the optimizer alone."""
        with one_thread():
            return list(self._systems(DesignPoint() if point is None else point)[0])

    def _systems(self, point: DesignPoint) -> tuple[list[MetSystem], Network]:
        training = self.training.at(point)
        settings = exact_settings(training.settings)
        key = (self._digest, training.batch, self.steps, self.seeds, code_digest(settings, "settings").text)
        if key not in _met:
            met = [
                system
                for seed in self.seeds
                for system in systems_of_exact_ngd(training.task, training.batch, seed, self.steps, settings)
            ]
            _met[key] = met, network_of(training.task, training.batch)
            while len(_met) > KEPT:
                _met.popitem(last=False)
        _met.move_to_end(key)
        return _met[key]


def task_training(
    task: Task | str, steps: int | None, batch: int | None, settings: Mapping[str, Any] | None
) -> TaskTraining:
    """InputError as `as_training`, and for a function."""
    found = as_training(task, steps, batch, settings)
    if not isinstance(found, TaskTraining):
        raise InputError(f"task is {task!r}: give a Task, or the name of one")
    return found


def settings_at(training: TaskTraining, point: DesignPoint) -> dict[str, Any]:
    """All settings of TNGD at a point."""
    return {**settings_for(training.task, "tngd"), **training.at(point).settings}


def check_point(training: TaskTraining, card: DeviceCard | None, point: DesignPoint, reading: str) -> None:
    """See `SolveLevel.check`."""
    if card is None:
        training.at(point)
        return
    if reading not in ("refined", "bare"):
        raise InputError(f"reading is {reading!r}: give 'refined' or 'bare'")
    if reading == "bare" and point.refines:
        raise InputError(
            "bare readings do not heed how readings are refined: give reading='refined', or no knob of refined"
        )
    point.card_at(card)
    training.check(point, reading)


def _answer(device: Device, system: MetSystem, settings: Mapping[str, Any], refines: bool) -> Answer:
    """The reading of a training step."""
    duration = float(settings["duration"])

    def system_at(damping: float) -> LinearSystem:
        more = damping - system.floor
        return Dense(system.matrix + more * torch.eye(len(system.b), dtype=torch.float64), floor=damping)

    if refines:
        return refined(device, system_at, system.b, system.floor, duration)
    reads, interval = int(settings.get("reads", 1)), float(settings.get("read_interval", READ_INTERVAL))
    return averaged(device, system_at(system.floor), system.b, duration, system.start, reads, interval)


def _error(system: MetSystem, answer: Answer) -> float:
    exact = system.exact
    x = answer.x if answer.applies else exact * 0
    return float((x - exact).norm() / exact.norm())
