"""What the array of a design point takes."""

from __future__ import annotations

import functools
import math

import torch

from ....circuits.errors import InputError
from ....circuits.technology.technology import Technology
from ....devicemodel.cost.planned import planned_array
from ...tasks.task import Task


def parameters_of(task: Task) -> int:
    """N, trainable parameters of a task's network. No random state changes."""
    with torch.random.fork_rng(devices=[]):
        return sum(one.numel() for one in task.model().parameters() if one.requires_grad)


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
