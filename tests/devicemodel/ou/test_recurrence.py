"""Blocked recurrences against the plain loop."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from thermograd.devicemodel.ou.recurrence import (
    Decays,
    block_length,
    diagonal_recurrence,
    matrix_recurrence,
    merged,
    power,
    runs,
)

F64 = torch.float64


@given(
    count=st.integers(1, 150),
    n=st.integers(1, 4),
    batch=st.sampled_from([(), (3,), (2, 3)]),
    uniform=st.booleans(),
    seed=st.integers(0, 99),
)
def test_diagonal_recurrence_is_the_loop(count, n, batch, uniform, seed):
    g = torch.Generator().manual_seed(seed)
    inputs = torch.randn(*batch, count, n, generator=g, dtype=F64)
    start = torch.randn(*batch[1:], n, generator=g, dtype=F64)
    rates = torch.randn(n, generator=g, dtype=F64)
    steps = 0.2 * torch.rand(count, generator=g, dtype=F64)
    if uniform:
        steps = steps[:1].expand(count)
    x, path = start, []
    for j in range(count):
        x = torch.exp(-rates * steps[j]) * x + inputs[..., j, :]
        path.append(x)
    expected = torch.stack(path, dim=-2)
    found = diagonal_recurrence(inputs, start, Decays.of(rates, steps, F64))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))
    assert found is inputs


@given(count=st.integers(1, 150), n=st.integers(1, 4), batch=st.sampled_from([(), (3,)]), seed=st.integers(0, 99))
def test_matrix_recurrence_is_the_loop(count, n, batch, seed):
    g = torch.Generator().manual_seed(seed)
    inputs = torch.randn(*batch, count, n, generator=g, dtype=F64)
    start = torch.randn(n, generator=g, dtype=F64)
    E = torch.randn(*batch, n, n, generator=g, dtype=F64)
    E = E / torch.linalg.matrix_norm(E, ord=2)[..., None, None]
    x, path = start, []
    for j in range(count):
        x = (E @ x.unsqueeze(-1)).squeeze(-1) + inputs[..., j, :]
        path.append(x)
    length = block_length(count)
    found = matrix_recurrence(inputs.clone(), start, E, power(E, length), length)
    torch.testing.assert_close(found, torch.stack(path, dim=-2), rtol=1e-10, atol=1e-10)


def test_slow_modes_keep_their_law_in_float32():
    # e^{-1e-7} is 1 in float32, and as a factor of every step it would let this mode stand still.
    count, rate = 40_000, 1e-7
    steps = torch.full((count,), 1.0, dtype=F64)
    start, rates = torch.ones(1), torch.tensor([rate], dtype=F64)
    found = diagonal_recurrence(torch.zeros(count, 1), start, Decays.of(rates, steps, torch.float32))[-1, 0]
    torch.testing.assert_close(float(1 - found), count * rate, rtol=0.02, atol=0)


def test_runs_and_blocks():
    steps = torch.tensor([0.1, 0.5, 0.5, 0.5, 0.1], dtype=F64)
    assert runs(steps) == [(0.1, 1), (0.5, 3), (0.1, 1)]
    assert [block_length(n) for n in (1, 2, 4, 100, 1000)] == [1, 1, 2, 8, 32]


def test_steps_are_merged_where_they_differ_by_rounding_alone():
    grid = torch.cat([torch.linspace(0, 5, 51, dtype=F64), torch.linspace(6, 10, 9, dtype=F64)])
    steps = grid.diff()
    assert len(steps.unique()) > 3
    one = merged(steps, 1e-14)
    assert len(one.unique()) == 3
    torch.testing.assert_close(one, steps, rtol=0, atol=1e-14)
    # random steps closer to each other than the rounding are no single step
    crowded = torch.rand(10_000, dtype=F64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(merged(crowded, 1e-3), crowded)
    assert torch.equal(merged(crowded[:1], 0.0), crowded[:1])
