"""What a step takes at a design point, and its array: time, energy, area."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch

from ....circuits.errors import InputError
from ....circuits.technology.technology import Technology
from ....devicemodel.cost.digital_host import DigitalHost
from ....devicemodel.cost.digital_step import by_gram
from ....devicemodel.cost.planned import planned_array
from ....devicemodel.device import Refinement, Solution
from ...optimizers.readings.reading import Answer
from ...tasks.task import Task
from ...training.hardware_time import Network, measured_network, solve_cost

Price = tuple[float, float]
"""Time and energy of a training step, s and J; nan: there is no model of it."""
UNKNOWN: Price = (math.nan, math.nan)


def network_of(task: Task, batch: int | None) -> Network:
    """What the cost model needs of a task's network and batch. No random state changes."""
    with torch.random.fork_rng(devices=[]):
        return measured_network(task.model(), lambda twin: task.closure(twin, 0, batch, 0))


def host_price(network: Network, cells: int) -> Price:
    """Of exact NGD without a die: the host's derivatives and Cholesky's factorisation of a dual system of so many cells."""
    host = DigitalHost()
    seconds = sum(by_gram(network.work(cells))) / host.rate
    return seconds, host.power * seconds


def step_price(device: Any, network: Network, answers: Sequence[tuple[Answer, float]]) -> Price:
    """Of steps that solve a dual system each, mean: the host's derivatives, and the solution on the device's hardware.

    Args:
        device: that answered, `Refined` ones too. answers: with a lower bound of each system's eigenvalues.
    """
    host, seconds, joules = DigitalHost(), 0.0, 0.0
    for answer, floor in answers:
        cells, refinement = len(answer.x), None
        if answer.reading != "bare":
            residual = math.inf if answer.residual is None else answer.residual
            refinement = Refinement((residual,), None, answer.products, True, answer.programmings)
        solution = Solution(
            answer.x, answer.outcome, answer.seconds, answer.attempts, refinement=refinement, products=answer.products
        )
        derivatives = network.work(cells).derivatives("dual") / host.rate
        cost = solve_cost(device, solution, cells, floor, host, derivatives)
        if cost is None:
            return UNKNOWN
        seconds, joules = seconds + cost.seconds, joules + cost.joules
    return seconds / len(answers), joules / len(answers)


@functools.lru_cache(maxsize=256)
def array_area(technology: Technology, fabric: str, cells: int, parameters: int) -> float:
    """Area of an array of so many cells on silicon with its converters, m^2.

    Args:
        technology, fabric: of a card. cells: unknowns of the largest system. parameters: N, of the network.

    nan where the technology states no areas, or no array of the fabric can be planned.
    """
    try:
        area = planned_array("dual", parameters, cells, 1, technology, fabric=fabric).area
    except InputError:
        return math.nan
    return math.nan if area is None else area.total
