"""Kronecker factors against their definition, and the layers' systems against the dense matrix of each block."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.optim.curvature import kronecker
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature
from thermograd.optim.curvature.kronecker import KroneckerBlock, WholeBlock, kronecker_blocks
from thermograd.optim.optimizers.kfac import KFAC
from thermograd.optim.optimizers.tngd import TNGD

from ..curvature.joined_batch import flat

F64 = torch.float64


def problem(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 2, stride=2), nn.Tanh(), nn.GroupNorm(1, 2), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 3)
    ).double()
    return model, torch.randn(7, 1, 4, 4, dtype=F64), torch.arange(7) % 3


def curvature_of(model, x, y, keep_sensitivities=True):
    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    return Curvature(evaluate(closure), list(model.parameters()), keep_sensitivities=keep_sensitivities)


def state_of(model):
    return {p: {} for p in model.parameters()}


def test_factors_are_the_means_of_their_definition():
    """The convolution's, from patches cut by hand and the outputs' own derivatives; patches of another stride are told from them."""
    model, x, y = problem()
    found = curvature_of(model, x, y)
    block = kronecker_blocks(found, state_of(model), 0.0)[0]
    assert isinstance(block, KroneckerBlock)
    patches = torch.stack(
        [torch.cat([x[i, 0, r : r + 2, c : c + 2].reshape(-1), torch.ones(1, dtype=F64)]) for i in range(7) for r in (0, 2) for c in (0, 2)]
    )  # fmt: skip
    torch.testing.assert_close(block.inputs, patches.T @ patches / 7)
    h = model[0](x).detach().requires_grad_()
    z = model[1:](h)
    L = found.loss.factor
    D = torch.stack(
        [torch.autograd.grad(z, h, L[:, :, m].view_as(z), retain_graph=True)[0] for m in range(L.shape[-1])]
    )
    D = D.movedim(2, -1).reshape(-1, 2)
    torch.testing.assert_close(block.outputs, D.T @ D / 4)
    wrong = torch.stack(
        [torch.cat([x[i, 0, :2, c : c + 2].reshape(-1), torch.ones(1, dtype=F64)]) for i in range(7) for c in range(2)]
    )
    assert float((block.inputs - wrong.T @ wrong / 7).abs().max()) > 0.1


def test_other_layers_keep_their_whole_block():
    model, x, y = problem()
    found = curvature_of(model, x, y)
    blocks = kronecker_blocks(found, state_of(model), 0.0)
    assert [type(block) for block in blocks] == [
        KroneckerBlock,
        WholeBlock,
        WholeBlock,
        WholeBlock,
        WholeBlock,
        KroneckerBlock,
    ]
    dense, sizes = found.dense(), [p.numel() for p in model.parameters()]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    for block in blocks:
        if isinstance(block, WholeBlock):
            part = slice(starts[block.index], starts[block.index] + sizes[block.index])
            torch.testing.assert_close(block.rows.T @ block.rows, dense[part, part])


def test_averages_move_towards_each_batch():
    model, x, y = problem()
    state = state_of(model)
    first = kronecker_blocks(curvature_of(model, x, y), state, 0.75)[0]
    second = kronecker_blocks(curvature_of(model, 2 * x, y), state, 0.75)[0]
    alone = kronecker_blocks(curvature_of(model, 2 * x, y), state_of(model), 0.75)[0]
    torch.testing.assert_close(second.inputs, 0.75 * first.inputs + 0.25 * alone.inputs)
    torch.testing.assert_close(second.outputs, 0.75 * first.outputs + 0.25 * alone.outputs)
    with pytest.raises(InputError, match=r"ema_decay is 1\.0"):
        kronecker_blocks(curvature_of(model, x, y), state, 1.0)
    with pytest.raises(InputError, match=r"refresh is 1\.5: give an integer"):
        KFAC(nn.Linear(2, 2).parameters(), refresh=1.5)


def test_a_step_solves_each_blocks_system_and_a_settled_device_takes_the_same():
    model, x, y = problem()
    blocks = kronecker_blocks(curvature_of(model, x, y), state_of(model), 0.0)
    gradient = curvature_of(model, x, y).gradient()
    expected = [torch.zeros_like(g) for g in gradient]
    for block in blocks:
        A = block.system(0.1).dense()
        block.scatter(torch.linalg.solve(A, block.gather(gradient)), expected)
    for kind, options in ((KFAC, {}), (TNGD, {"system": "kronecker", "duration": math.inf})):
        own = copy.deepcopy(model)

        def closure(own=own):
            z = own(x)
            return F.cross_entropy(z, y), z

        before = flat(own.parameters())
        kind(own.parameters(), lr=1.0, damping=0.1, ema_decay=0.0, **options).step(closure)
        torch.testing.assert_close(flat(own.parameters()) - before, -flat(expected), rtol=1e-8, atol=1e-10)


def test_eigenvectors_are_kept_for_some_steps():
    model, x, y = problem()
    optimizer = KFAC(model.parameters(), lr=0.1, damping=0.1, refresh=2)

    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    kept = []
    for _ in range(4):
        optimizer.step(closure)
        kept.append(optimizer.state[model[0].weight]["basis"][0].clone())
    assert torch.equal(kept[0], kept[1])
    assert torch.equal(kept[2], kept[3])
    assert not torch.equal(kept[1], kept[2])


@pytest.mark.parametrize("says_so", [True, False])
def test_eigenvectors_come_in_double_where_single_precision_has_none(monkeypatch, says_so):
    model, x, y = problem()
    moved = []
    original = torch.linalg.eigh

    def fails(matrix):
        if matrix.dtype == torch.float32 and says_so:
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        w, V = original(matrix)
        return (w, V) if matrix.dtype == torch.float64 else (w, V * math.nan)

    for replaced in (original, fails):
        monkeypatch.setattr(torch.linalg, "eigh", replaced)
        own = copy.deepcopy(model).float()
        optimizer = KFAC(own.parameters(), lr=1.0, damping=0.1)

        def closure(own=own):
            z = own(x.float())
            return F.cross_entropy(z, y), z

        before = flat(own.parameters())
        optimizer.step(closure)
        moved.append(flat(own.parameters()) - before)
        assert optimizer.last.applied
    assert float((moved[1] - moved[0]).norm() / moved[0].norm()) < 1e-4


def test_factors_are_not_made_of_rows():
    model, x, y = problem()
    with pytest.raises(InputError, match="keep_sensitivities=True"):
        kronecker_blocks(curvature_of(model, x, y, keep_sensitivities=False), state_of(model), 0.0)


def test_rows_without_factors_have_a_limit(monkeypatch):
    model, x, y = problem()
    monkeypatch.setattr(kronecker, "MAX_ROW_ENTRIES", 20)
    with pytest.raises(InputError, match=r"has no Kronecker factors.*freeze it"):
        KFAC(model.parameters()).step(lambda: (F.cross_entropy(z := model(x), y), z))
