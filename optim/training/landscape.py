"""The loss around a solution: a plane through parameter space, and the trajectories of several trainings projected onto it.

theta(a, b) = c + a d_1 + b d_2, with c the best end of the trainings and two directions d: either the plane through c that is nearest to
all points of all paths (their principal plane), or two random directions whose filters are as long as those of c (H. Li et al.,
Visualizing the Loss Landscape of Neural Nets, 2018, arXiv:1712.09913).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from ...circuits.parallel import parallel_map
from ..tasks.classification import classification
from ..tasks.task import Task
from .threads import one_thread
from .trajectory import DIVERGED, SAMPLES, Trajectory, mean_loss, subset

PLANES = ("paths", "random")
MIN_ASPECT = 1e-6
"""Smallest extent of the paths in the second principal direction, relative to the first."""
MARGIN = 0.25
"""Margin around the paths, relative to their extent."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane in parameter space.

    Attributes:
        centre: (N,) c.
        directions: (2, N) d_1 and d_2, linearly independent and of the same length |d|: the unit of coordinates and distances.
    """

    centre: np.ndarray
    directions: np.ndarray

    @property
    def unit(self) -> float:
        """|d| in parameter space; 1 for a principal plane."""
        return float(np.linalg.norm(self.directions[0]))

    def at(self, a: float, b: float) -> np.ndarray:
        """c + a d_1 + b d_2, (N,)."""
        return self.centre + a * self.directions[0] + b * self.directions[1]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nearest points of the plane.

        (a, b) = (D D^T)^-1 D (theta - c),   distance = |theta - c - D^T (a, b)| / |d|

        Args:
            points: (T, N).

        Returns:
            Coordinates (T, 2), and distances from the plane (T,).
        """
        away = np.asarray(points, dtype=np.float64) - self.centre
        coordinates = np.linalg.solve(self.directions @ self.directions.T, self.directions @ away.T).T
        return coordinates, np.linalg.norm(away - coordinates @ self.directions, axis=1) / self.unit


@dataclass(frozen=True, eq=False)
class Landscape:
    """The loss on a plane, with trajectories of trainings projected onto it.

    Attributes:
        kind: of `PLANES`.
        plane: through the end of the best training.
        x, y: coordinates of the grid, (nx,) and (ny,).
        loss: on the grid, (ny, nx), mean over `samples`.
        samples: number of training samples.
        trajectories: the trainings.
        coordinates: of each training, (T, 2).
        distances: of each training, (T,), of its points from the plane, in the unit of the coordinates.
        projected_loss: of each training, at the projection of its last point onto the plane.
        best: index of the training whose end is the centre.
    """

    kind: str
    plane: Plane
    x: np.ndarray
    y: np.ndarray
    loss: np.ndarray
    samples: int
    trajectories: tuple[Trajectory, ...]
    coordinates: tuple[np.ndarray, ...]
    distances: tuple[np.ndarray, ...]
    projected_loss: tuple[float, ...]
    best: int

    @property
    def explained_variance(self) -> float:
        """Fraction of the paths' variance about the centre that the plane explains: 1 - sum (distance |d|)^2 / sum |theta - c|^2."""
        outside = self.plane.unit**2 * sum(float(one @ one) for one in self.distances)
        away = [np.linalg.norm(one.points - self.plane.centre, axis=1) for one in self.trajectories]
        return 1 - outside / sum(float(distance @ distance) for distance in away)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the slice, and each path in its coordinates."""
        paths = [
            {
                "label": one.label,
                "steps": one.steps,
                "x": place[:, 0],
                "y": place[:, 1],
                "off_plane": distance,
                "loss": one.loss,
                "end_loss": one.loss[-1],
                "end_loss_on_plane": on_plane,
                "diverged": one.diverged,
            }
            for one, place, distance, on_plane in zip(
                self.trajectories, self.coordinates, self.distances, self.projected_loss, strict=True
            )
        ]
        return {
            "plane": self.kind,
            "centre": self.trajectories[self.best].label,
            "explained_variance": self.explained_variance,
            "samples": self.samples,
            "x": self.x,
            "y": self.y,
            "loss": self.loss,
            "paths": paths,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays for an .npz: the slice, the plane, labels, and of each training steps_k, path_k (T, 2), distance_k, loss_k."""
        found = {
            "x": self.x,
            "y": self.y,
            "loss": self.loss,
            "centre": self.plane.centre,
            "directions": self.plane.directions,
            "labels": np.array([one.label for one in self.trajectories]),
        }
        for k, one in enumerate(self.trajectories):
            found |= {f"steps_{k}": one.steps, f"path_{k}": self.coordinates[k]}
            found |= {f"distance_{k}": self.distances[k], f"loss_{k}": one.loss}
        return found


def principal_plane(points: np.ndarray, centre: np.ndarray) -> Plane:
    """The plane through `centre` with the least sum of squared distances from the points: orthonormal directions.

    They are the first two right singular vectors of points - centre, found from the (M, M) Gram matrix. In each the
    farthest point has a negative coordinate.

    Args:
        points: (M, N). centre: (N,).

    Raises:
        InputError: the points are all on one line through the centre.
    """
    away = np.asarray(points, dtype=np.float64) - np.asarray(centre, dtype=np.float64)
    squares, vectors = np.linalg.eigh(away @ away.T)
    if len(squares) < 2 or not squares[-2] > MIN_ASPECT**2 * squares[-1]:
        raise InputError(
            f"the {len(away)} points of the paths lie on one line and span no plane: give more steps or another "
            'optimizer, or take the plane "random"'
        )
    directions = np.linalg.qr((vectors[:, :-3:-1].T @ away).T)[0].T
    places = directions @ away.T
    farthest = places[np.arange(2), np.abs(places).argmax(axis=1)]
    return Plane(np.asarray(centre, dtype=np.float64), directions * np.where(farthest > 0, -1.0, 1.0)[:, None])


def random_plane(model: nn.Module, seed: int) -> Plane:
    """Two Gaussian directions about the model's parameters, filter-normalised.

    Each filter (the weights that lead to one output: a row of a matrix, a slice of a convolution) is scaled to the norm
    that it has in the model; biases and other vectors do not move.
    """
    generator = np.random.default_rng((seed, 1))
    parameters = [p.detach().double().cpu().numpy() for p in model.parameters() if p.requires_grad]
    directions = []
    for _ in range(2):
        pieces = []
        for p in parameters:
            d = generator.standard_normal(p.shape)
            if p.ndim < 2:
                pieces.append(np.zeros(p.size))
                continue
            d, filters = d.reshape(len(d), -1), p.reshape(len(p), -1)
            d *= (np.linalg.norm(filters, axis=1) / np.linalg.norm(d, axis=1))[:, None]
            pieces.append(d.ravel())
        directions.append(np.concatenate(pieces))
    return Plane(np.concatenate([p.ravel() for p in parameters]), np.array(directions))


def loss_slice(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    plane: Plane,
    x: np.ndarray,
    y: np.ndarray,
    workers: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The loss at each point of a grid on a plane: `loss[j, i]` at `plane.at(x[i], y[j])`.

    Every point is computed on one thread, whatever the number of workers, so that the result does not depend on it.

    Args:
        model: with the buffers to use; it is left as it is.
        loss: (outputs, targets) -> scalar, a mean over the batch.
        inputs, targets: the samples.
        plane: of as many parameters as the model has trainable ones.
        x, y: (nx,) and (ny,).
        workers: processes of this machine, as `parallel_map` takes them.
        progress: called with (rows done, rows).
    """
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if plane.centre.shape != (size,) or plane.directions.shape != (2, size):
        raise InputError(
            f"the plane has centre {plane.centre.shape} and directions {plane.directions.shape}: a model of {size} "
            f"trainable parameters needs ({size},) and (2, {size})"
        )

    def row(b: float) -> np.ndarray:
        probe = copy.deepcopy(model)
        with one_thread():
            values = []
            for a in x:
                _assign(probe, plane.at(float(a), b))
                values.append(mean_loss(probe, loss, inputs, targets))
        return np.array(values)

    return np.array(list(parallel_map(row, [float(b) for b in y], workers, progress=progress)))


def landscape(
    task: Task,
    trajectories: Sequence[Trajectory],
    kind: str = "paths",
    points: int = 41,
    span: float | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    workers: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Landscape:
    """The training loss on a plane through the best end, in a square window, with the paths projected onto it.

    Args:
        task: a classification.
        trajectories: of `follow`, for this task.
        kind: "paths", the principal plane of all points of all paths; "random", filter-normalised directions.
        points: of the grid, along each side.
        span: half the side of the window, in units of the directions; by default the paths with some room for "paths", 1 for "random".
        samples, seed: of the choice of training samples, as in `follow`, and of the random directions.
        workers: processes of this machine, as `parallel_map` takes them.
        progress: called with (rows done, rows).

    Raises:
        InputError: arguments out of range; no trajectory; all trainings diverged; the paths span no plane.
    """
    samples_of = classification(task, "a landscape")
    if kind not in PLANES or points < 2 or not (span is None or (math.isfinite(span) and span > 0)):
        raise InputError(
            f"plane {kind!r}, points {points}, span {span}: give {' or '.join(PLANES)}, at least 2 points, and a finite span > 0"
        )
    if not trajectories:
        raise InputError("trajectories is empty: give at least one, of `follow`")
    remaining = [k for k, one in enumerate(trajectories) if one.diverged is None]
    if not remaining:
        ends = ", ".join(f"{one.label} at step {one.diverged}" for one in trajectories)
        raise InputError(
            f"all trainings diverged, to a loss that is not finite or above {DIVERGED:g} times that at the start ({ends}): "
            "lower lr, or raise damping"
        )
    best = min(remaining, key=lambda k: float(trajectories[k].loss[-1]))
    centre = trajectories[best].points[-1]
    everything = np.concatenate([one.points for one in trajectories])
    model = trajectories[best].model
    plane = principal_plane(everything, centre) if kind == "paths" else random_plane(model, seed)
    projected = [plane.project(one.points) for one in trajectories]
    if kind == "random":
        middle, half = np.zeros(2), 1.0
    else:
        inside = np.concatenate([place for place, _ in projected])
        low, high = inside.min(axis=0), inside.max(axis=0)
        middle, half = (low + high) / 2, float((high - low).max()) * (0.5 + MARGIN)
    half = half if span is None else span
    x, y = (np.linspace(m - half, m + half, points) for m in middle)
    inputs, targets = subset(samples_of, samples, seed)
    values = loss_slice(model, samples_of.loss, inputs, targets, plane, x, y, workers, progress)
    on_plane = [
        float(loss_slice(model, samples_of.loss, inputs, targets, plane, place[-1:, 0], place[-1:, 1])[0, 0])
        for place, _ in projected
    ]
    return Landscape(
        kind, plane, x, y, values, len(inputs), tuple(trajectories), tuple(place for place, _ in projected),
        tuple(distance for _, distance in projected), tuple(on_plane), best,
    )  # fmt: skip


@torch.no_grad()
def _assign(model: nn.Module, vector: np.ndarray) -> None:
    start = 0
    for p in model.parameters():
        if p.requires_grad:
            p.copy_(torch.from_numpy(vector[start : start + p.numel()]).view_as(p))
            start += p.numel()
