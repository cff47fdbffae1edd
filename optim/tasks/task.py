"""A task: a network, a loss, a score, and how it is trained by default."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ...circuits.errors import InputError

TaskClosure: TypeAlias = Callable[[], tuple[Tensor, Tensor]]
"""Returns (loss, outputs) with their graphs, without calling backward: what `NaturalGradient.step` takes."""


@dataclass(frozen=True)
class Score:
    """What a trained network is judged by.

    Attributes:
        name: such as "test accuracy".
        more_is_better: whether a higher value is better.
        target: value to which tables count the steps.
        percent: whether values are fractions, shown in percent; others are errors that span decades.
    """

    name: str
    more_is_better: bool
    target: float
    percent: bool = False

    def reaches(self, value: float, wanted: float) -> bool:
        """Whether the value is at least as good as the wanted one; NaN is not."""
        return value >= wanted if self.more_is_better else value <= wanted

    def text(self, value: float, digits: int = 2) -> str:
        """The value for people: "97.22 %", or "4.17e-05"."""
        return f"{100 * value:.{digits}f} %" if self.percent else f"{value:.{digits + 1}g}"


@dataclass(frozen=True)
class Plan:
    """How a task is trained by default.

    Attributes:
        steps: number of updates.
        batch: samples of a step; None for a task that takes all of its points in every step.
        evaluate_every: steps between evaluations of the score.
        settings: of the optimizers by name, such as {"adam": {"lr": 0.003}}, tuned for this batch and length; they take precedence over
            those in `optimizers.registry.OPTIMIZERS`.
    """

    steps: int = 300
    batch: int | None = 16
    evaluate_every: int = 10
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


OTHER_POINTS = 1_000_003
"""Seed of the points of `Task.held_out` where a task is trained on points that it draws."""


class Task(ABC):
    """What a network is trained on.

    Attributes:
        name: for reports and checkpoints; it has all settings that results depend on.
        model: builds the network in the task's dtype, with weights from torch's default generator.
        plan: how it is trained by default.
    """

    name: str
    model: Callable[[], nn.Module]
    plan: Plan

    @property
    @abstractmethod
    def score(self) -> Score:
        """What `evaluate` returns."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Of the network's parameters."""

    @abstractmethod
    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        """The closure of a step: a function of its arguments alone, so that a resumed run sees the batches that it would have seen.

        Args:
            model: the network.
            step: number of the step, from 0.
            batch: samples of the step; None for a task whose plan has none.
            seed: of the order of the batches.

        Raises:
            InputError: an argument out of range, or a batch for a task that has none.
        """

    @abstractmethod
    def evaluate(self, model: nn.Module) -> float:
        """The score of a network."""

    def metrics(self, model: nn.Module) -> dict[str, float]:
        """The score by its name, and whatever else the network is judged by."""
        return {self.score.name: self.evaluate(model)}

    def held_out(self) -> Task:
        """The task that settings are chosen on, with the same network: its score is of data that are neither trained on nor tested on.

        A task without data is trained on other points, and scored by the same error.

        Raises:
            InputError: the task has none.
        """
        raise InputError(f"the task {self.name} has no data to hold out: give it a method held_out that returns a Task")
