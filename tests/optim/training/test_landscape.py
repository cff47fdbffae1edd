"""The slice of a loss and the paths on it: a bowl whose slice is known, planes against numpy, and trainings as they were."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from thermograd.circuits.errors import InputError
from thermograd.optim.tasks.classification import Classification
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training import trajectory as module
from thermograd.optim.training.landscape import Plane, landscape, loss_slice, principal_plane, random_plane
from thermograd.optim.training.train import train
from thermograd.optim.training.trajectory import Trajectory, follow, mean_loss, subset

N = 7
SEEDS = st.integers(0, 10_000)


class Bowl(nn.Module):
    """Gives its own parameters, whatever the input; two of them in a matrix, the others in a vector."""

    def __init__(self, theta: np.ndarray) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor(theta[:2].reshape(1, 2)))
        self.vector = nn.Parameter(torch.tensor(theta[2:]))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([self.matrix.reshape(-1), self.vector]).expand(len(inputs), -1)


class Quadratic:
    """(theta - m)^T A (theta - m) / 2, a mean over outputs that are all theta."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        root = generator.standard_normal((N, N))
        self.A, self.m = root @ root.T, generator.standard_normal(N)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        away = outputs - torch.from_numpy(self.m)
        return ((away @ torch.from_numpy(self.A)) * away).sum(dim=1).mean() / 2


def plane_of(seed: int, n: int = N) -> Plane:
    """A plane with directions of one length that are not at right angles."""
    generator = np.random.default_rng(seed)
    directions = generator.standard_normal((2, n))
    directions[1] += directions[0]
    return Plane(generator.standard_normal(n), directions / np.linalg.norm(directions, axis=1)[:, None] * 1.7)


def bowl_slice(law: Quadratic, plane: Plane, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    inputs = torch.zeros(5, 1)
    return loss_slice(Bowl(np.zeros(N)), law, inputs, torch.zeros(5), plane, x, y)


def trajectory(points: np.ndarray, label: str = "made up") -> Trajectory:
    steps = np.arange(len(points))
    return Trajectory(label, steps, points, np.linspace(2.0, 1.0, len(points)), None, Bowl(points[-1]))


def bowl_task(law: Quadratic) -> Classification:
    nothing, targets = torch.zeros(6, 1), torch.zeros(6, dtype=torch.int64)
    return Classification("bowl", nothing, targets, nothing, targets, lambda: Bowl(np.ones(N)), law)


# ----------------------------------------------------------------------------------------------------- the slice


@settings(max_examples=20)
@given(SEEDS)
def test_the_slice_of_a_bowl_is_the_bowls_law(seed: int) -> None:
    """A quadratic in (a, b) with the coefficients d^T A d, d^T A (c - m) and (c - m)^T A (c - m)."""
    law, plane = Quadratic(seed), plane_of(seed + 1)
    x, y = np.linspace(-2, 1, 5), np.linspace(0, 3, 4)
    found = bowl_slice(law, plane, x, y)
    D, away = plane.directions, plane.centre - law.m
    hessian, slope, level = D @ law.A @ D.T, D @ law.A @ away, away @ law.A @ away / 2
    a, b = np.meshgrid(x, y)
    wanted = level + slope[0] * a + slope[1] * b
    wanted = wanted + hessian[0, 0] * a**2 / 2 + hessian[0, 1] * a * b + hessian[1, 1] * b**2 / 2
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * scale)
    assert not np.allclose(found, wanted - hessian[0, 1] * a * b, rtol=0, atol=1e-6 * scale)
    transposed = bowl_slice(law, plane, y, x).T
    assert not np.allclose(found, transposed, rtol=0, atol=1e-6 * scale)


def test_the_loss_is_that_of_the_whole_subset_in_evaluation_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    task = digits()
    model = nn.Sequential(task.model(), nn.BatchNorm1d(10), nn.Dropout(0.5))
    before = copy.deepcopy(model.state_dict())
    inputs, targets = subset(task, 100, 3)
    model.eval()
    with torch.no_grad():
        wanted = float(nn.functional.cross_entropy(model(inputs), targets))
    model.train()
    for chunk in (100, 33, 512):
        monkeypatch.setattr(module, "CHUNK", chunk)
        assert mean_loss(model, task.loss, inputs, targets) == pytest.approx(wanted, rel=1e-6)
        assert loss_slice(
            model, task.loss, inputs, targets, random_plane(model, 0), np.zeros(1), np.zeros(1)
        ).item() == pytest.approx(wanted, rel=1e-6)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert wanted != pytest.approx(
        float(nn.functional.cross_entropy(model(inputs), targets).detach()), rel=1e-2
    )  # as if trained


def test_the_subset_is_fixed_and_in_order() -> None:
    task = digits()
    inputs, targets = subset(task, 200, 5)
    assert inputs.shape == (200, 64)
    assert torch.equal(inputs, subset(task, 200, 5)[0])
    assert not torch.equal(inputs, subset(task, 200, 6)[0])
    assert subset(task, 5000, 5)[0] is task.train_inputs
    rows = {tuple(row.tolist()): k for k, row in enumerate(task.train_inputs)}
    places = [rows[tuple(row.tolist())] for row in inputs]
    assert places == sorted(places)
    assert torch.equal(targets, task.train_targets[places])


@pytest.mark.slow
def test_the_slice_has_the_same_bits_on_any_number_of_workers() -> None:
    task = digits()
    path = follow(task, "adam", 5)
    one, two = (landscape(task, [path], "random", points=7, seed=2, workers=workers) for workers in (1, 2))
    assert np.array_equal(one.loss, two.loss)
    assert np.array_equal(one.plane.directions, two.plane.directions)
    assert one.projected_loss == two.projected_loss
    other = landscape(task, [path], "random", points=7, seed=3)
    assert not np.array_equal(one.loss, other.loss)


# ---------------------------------------------------------------------------------------------------- the planes


@settings(max_examples=30)
@given(SEEDS, st.integers(1, 20))
def test_a_path_in_the_plane_is_projected_onto_itself(seed: int, count: int) -> None:
    plane = plane_of(seed)
    wanted = np.random.default_rng(seed + 1).standard_normal((count, 2))
    points = np.array([plane.at(a, b) for a, b in wanted])
    coordinates, off = plane.project(points)
    np.testing.assert_allclose(coordinates, wanted, rtol=0, atol=1e-12)
    assert off.max() < 1e-13 * N * 10
    naive = (points - plane.centre) @ plane.directions.T / plane.unit**2  # right only for directions at right angles
    assert not np.allclose(naive, wanted, rtol=0, atol=1e-3)


@settings(max_examples=30)
@given(SEEDS)
def test_a_projection_is_the_nearest_point(seed: int) -> None:
    plane, generator = plane_of(seed), np.random.default_rng(seed + 2)
    point = generator.standard_normal((1, N)) * 3
    [[a, b]], [off] = plane.project(point)
    assert off * plane.unit == pytest.approx(float(np.linalg.norm(point[0] - plane.at(a, b))), rel=1e-12)
    for step in generator.standard_normal((10, 2)):
        assert np.linalg.norm(point[0] - plane.at(a + step[0], b + step[1])) > off * plane.unit


@settings(max_examples=30)
@given(SEEDS, st.integers(2, 30), st.integers(2, 30))
def test_the_principal_plane_is_that_of_the_singular_vectors(seed: int, count: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    points, centre = generator.standard_normal((count, size)), generator.standard_normal(size)
    plane = principal_plane(points, centre)
    _, values, right = np.linalg.svd(points - centre, full_matrices=False)
    D = plane.directions
    np.testing.assert_allclose(D @ D.T, np.eye(2), atol=1e-12)
    gap = min(values[0] - values[1], values[1] - (values[2] if len(values) > 2 else 0)) / values[0]
    np.testing.assert_allclose(np.abs(np.sum(D * right[:2], axis=1)), 1, atol=1e-10 / gap**2)
    _, off = plane.project(points)
    assert float(off @ off) == pytest.approx(float((values[2:] ** 2).sum()), rel=1e-9, abs=1e-12 * values[0] ** 2)
    other = np.linalg.qr((D + 0.3 * generator.standard_normal((2, size))).T)[0].T
    worse = Plane(centre, other).project(points)[1]
    assert float(worse @ worse) >= float(off @ off) * (1 - 1e-9) - 1e-12 * values[0] ** 2
    places = plane.project(points)[0]
    assert np.all(places[np.abs(places).argmax(axis=0), [0, 1]] < 0)


@pytest.mark.parametrize("points", [np.ones((1, 5)), np.arange(4.0)[:, None] * np.ones((1, 5)), np.zeros((3, 5))])
def test_points_on_a_line_span_no_plane(points: np.ndarray) -> None:
    with pytest.raises(InputError, match=r'lie on one line.*more steps.*"random"'):
        principal_plane(points, np.zeros(5))


def test_random_directions_have_filters_as_long_as_the_models() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))
    with torch.no_grad():
        model[3].weight[1].zero_()  # type: ignore[operator, index]
    model[3].bias.requires_grad_(False)  # type: ignore[union-attr, operator]
    plane = random_plane(model, 4)
    start = 0
    for p in (p for p in model.parameters() if p.requires_grad):
        for d in plane.directions:
            piece = d[start : start + p.numel()].reshape(p.shape)
            if p.ndim == 1:
                assert not piece.any()
                continue
            wanted = p.detach().double().flatten(1).norm(dim=1).numpy()
            np.testing.assert_allclose(np.linalg.norm(piece.reshape(len(piece), -1), axis=1), wanted, rtol=1e-12)
        start += p.numel()
    assert plane.directions.shape == (2, start)
    assert np.linalg.norm(plane.directions[1]) == pytest.approx(plane.unit)
    assert abs(plane.directions[0] @ plane.directions[1]) < 0.9 * plane.unit**2
    assert np.array_equal(plane.directions, random_plane(model, 4).directions)
    assert not np.array_equal(plane.directions, random_plane(model, 5).directions)


# -------------------------------------------------------------------------------------------------- the trainings


@pytest.mark.parametrize("optimizer", ["adam", "tngd"])
def test_a_path_goes_from_the_weights_of_the_seed_to_those_that_train_gives(optimizer: str) -> None:
    task = digits()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = task.model()
    start = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    random_state, threads = torch.get_rng_state(), torch.get_num_threads()
    done: list[tuple[int, int]] = []
    options = {"damping": 0.5} if optimizer == "tngd" else {}
    path = follow(task, optimizer, 12, 8, seed=3, samples=300, progress=lambda *at: done.append(at), settings=options)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.get_num_threads() == threads
    train(task, optimizer, 12, 8, seed=3, model=model, settings=options)
    end = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    np.testing.assert_array_equal(path.points[0], start.numpy())
    np.testing.assert_array_equal(path.points[-1], end.numpy())
    assert path.steps.tolist() == list(range(13))
    assert done == [(k, 12) for k in range(13)]
    assert path.label == optimizer
    assert path.diverged is None
    inputs, targets = subset(task, 300, 3)
    assert path.loss[-1] == pytest.approx(float(task.loss(model(inputs), targets).detach()), rel=1e-6)


def test_a_long_path_keeps_points_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_POINTS", 4)
    assert follow(digits(), "sgd", 10, samples=50).steps.tolist() == [0, 2, 5, 8, 10]


def test_a_training_that_diverges_ends_where_it_left() -> None:
    task = digits(activation="relu")
    good, lost = follow(task, "adam", 8), follow(task, "sgd", 8, settings={"lr": 300.0}, label="too fast")
    gone = follow(task, "tngd", 3, settings={"lr": 1e30})
    assert good.diverged is None
    assert lost.diverged == 1
    assert gone.diverged == 1
    found = landscape(task, [lost, good, gone], points=5)
    assert found.best == 1
    assert [len(place) for place in found.coordinates] == [1, 9, 1]
    assert np.isfinite(found.loss).all()
    assert all(np.isfinite(off).all() for off in found.distances)
    with pytest.raises(InputError, match=r"all trainings diverged.*too fast at step 1.*lower lr"):
        landscape(task, [lost, gone])


@pytest.mark.parametrize(
    ("loss", "kept"),
    [
        ([2, 3, 1], 3),
        ([2, 9, 1], 3),  # it came back
        ([2, 1, 4.1], 2),
        ([2, 3, 5, 6, 7], 2),
        ([2, np.nan, 1], 1),
        ([2, 1, np.inf], 2),
        ([np.nan, 1], 0),
    ],
)
def test_what_counts_as_leaving(loss: list[float], kept: int) -> None:
    assert module._points_before_divergence(np.zeros((len(loss), 2)), np.array(loss, dtype=float)) == kept
    points = np.zeros((3, 2))
    points[1] = np.nan
    assert module._points_before_divergence(points, np.ones(3)) == 1


# -------------------------------------------------------------------------------------------------- the landscape


def test_the_landscape_of_a_bowl_is_consistent() -> None:
    """Through the best end, which has its own loss; the projections' losses are those of the law; held by hand."""
    law, generator = Quadratic(1), np.random.default_rng(0)
    points = [np.cumsum(generator.standard_normal((count, N)), axis=0) for count in (9, 6)]
    paths = [trajectory(some, f"path {k}") for k, some in enumerate(points)]
    paths[1].loss[-1] = 0.5
    found = landscape(bowl_task(law), paths, points=6)
    assert found.best == 1
    np.testing.assert_array_equal(found.plane.centre, points[1][-1])
    assert found.distances[1][-1] == 0
    everything = np.concatenate(points) - points[1][-1]
    squares = np.linalg.svd(everything, compute_uv=False) ** 2
    assert found.explained_variance == pytest.approx(squares[:2].sum() / squares.sum(), rel=1e-12)
    assert found.explained_variance < 0.99
    for place, shadow in zip(found.coordinates, found.projected_loss, strict=True):
        away = found.plane.at(*place[-1]) - law.m
        assert shadow == pytest.approx(away @ law.A @ away / 2, rel=1e-12)
    np.testing.assert_allclose(found.loss, bowl_slice(law, found.plane, found.x, found.y), rtol=1e-12)
    inside = np.concatenate(found.coordinates)
    for axis, column in ((found.x, inside[:, 0]), (found.y, inside[:, 1])):
        assert axis[0] < column.min() <= column.max() < axis[-1]
    assert np.ptp(found.x) == pytest.approx(np.ptp(found.y))
    wide = landscape(bowl_task(law), paths, points=3, span=50.0)
    assert np.ptp(wide.x) == pytest.approx(100)
    data = found.to_dict()
    assert [path["label"] for path in data["paths"]] == ["path 0", "path 1"]
    assert data["centre"] == "path 1"
    arrays = found.arrays()
    assert arrays["labels"].tolist() == ["path 0", "path 1"]
    assert not any(array.dtype == object for array in arrays.values())


def test_paths_in_a_plane_are_held_whole() -> None:
    plane, generator = plane_of(5), np.random.default_rng(1)
    points = np.array([plane.at(a, b) for a, b in generator.standard_normal((8, 2))])
    found = landscape(bowl_task(Quadratic(2)), [trajectory(points)], points=3)
    assert found.explained_variance == pytest.approx(1, abs=1e-12)
    points[2] += 1.0
    assert landscape(bowl_task(Quadratic(2)), [trajectory(points)], points=3).explained_variance < 0.999


def test_a_random_landscape_holds_what_its_projections_say() -> None:
    points = np.random.default_rng(1).standard_normal((8, N))
    found = landscape(bowl_task(Quadratic(2)), [trajectory(points)], "random", points=3, seed=1)
    assert (found.x[0], found.x[-1], found.y[0], found.y[-1]) == (-1, 1, -1, 1)
    away = points - points[-1]
    basis = np.linalg.qr(found.plane.directions.T)[0]
    assert found.explained_variance == pytest.approx(np.sum((away @ basis) ** 2) / np.sum(away**2), rel=1e-10)
    assert found.plane.unit == pytest.approx(np.linalg.norm(points[-1][:2]))  # the one filter of the bowl


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "flat"}, "plane 'flat'.*give paths or random"),
        ({"points": 1}, "points 1"),
        ({"span": 0.0}, r"span 0\.0"),
        ({"span": float("inf")}, "span inf"),
        ({"samples": 0}, "samples is 0"),
        ({"workers": 0}, "workers = 0"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, object], message: str) -> None:
    points = np.random.default_rng(1).standard_normal((8, N))
    with pytest.raises(InputError, match=message):
        landscape(bowl_task(Quadratic(2)), [trajectory(points)], **options)  # type: ignore[arg-type]


def test_nothing_to_draw_and_planes_that_do_not_fit_raise() -> None:
    with pytest.raises(InputError, match="trajectories is empty: give at least one"):
        landscape(bowl_task(Quadratic(2)), [])
    with pytest.raises(InputError, match=r"a model of 7 trainable parameters needs \(7,\) and \(2, 7\)"):
        bowl_slice(Quadratic(0), plane_of(0, N + 1), np.zeros(1), np.zeros(1))
