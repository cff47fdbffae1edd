"""The records of linear systems: what they hold and what they refuse."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.systems import Dense, Kronecker, LowRank, check_duration, check_vector


@given(k=st.integers(1, 6), n=st.integers(1, 6), core=st.booleans(), damping=st.floats(0, 10), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_low_rank_is_its_dense_matrix(k, n, core, damping, seed):
    generator = torch.Generator().manual_seed(seed)
    J = torch.randn(k, n, dtype=torch.float64, generator=generator)
    B = torch.randn(k, k, dtype=torch.float64, generator=generator)
    H = B @ B.T if core else None
    system = LowRank(J, H, damping)
    x = torch.randn(3, n, dtype=torch.float64, generator=generator)
    expected = torch.einsum("ai,ab,bj->ij", J, torch.eye(k, dtype=torch.float64) if H is None else H, J)
    expected += damping * torch.eye(n, dtype=torch.float64)
    assert system.size == n
    torch.testing.assert_close(system.dense(), expected)
    torch.testing.assert_close(system.matvec(x), x @ expected)
    torch.testing.assert_close(Dense((expected + expected.T) / 2).matvec(x[0]), expected @ x[0])


@given(p=st.integers(1, 4), q=st.integers(1, 4), damping=st.floats(0, 10), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_kronecker_is_its_dense_matrix(p, q, damping, seed):
    generator = torch.Generator().manual_seed(seed)
    A, B = (torch.randn(n, n, dtype=torch.float64, generator=generator) for n in (p, q))
    system = Kronecker(A + A.T, B + B.T, damping)
    expected = torch.einsum("ij,kl->ikjl", A + A.T, B + B.T).reshape(p * q, p * q)
    expected += damping * torch.eye(p * q, dtype=torch.float64)
    x = torch.randn(3, p * q, dtype=torch.float64, generator=generator)
    assert system.size == p * q
    torch.testing.assert_close(system.dense(), expected)
    torch.testing.assert_close(system.matvec(x), x @ expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((torch.ones(2, 3), torch.eye(2)), "A has shape.*square"),
        ((torch.eye(2), torch.tensor([[1.0, 1.0], [0.0, 1.0]])), "B is not symmetric"),
        ((torch.eye(2), torch.eye(2, dtype=torch.float64)), "in one type"),
        ((torch.eye(2), torch.eye(2), -1.0), "damping is -1.0"),
    ],
)
def test_kronecker_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        Kronecker(*arguments)


@pytest.mark.parametrize(
    ("A", "words"),
    [
        (torch.zeros(2, 3), "square"),
        (torch.zeros(0, 0), "at least one entry"),
        (torch.zeros(3), "2-D"),
        (torch.eye(2, dtype=torch.int64), "float32 or float64"),
        ([[1.0]], "list"),
        (torch.tensor([[1.0, 0.0], [0.0, math.nan]]), r"A\[1, 1\] is nan"),
        (torch.tensor([[1.0, 0.5], [0.25, 1.0]]), r"A\[0, 1\] = 0.5 but A\[1, 0\] = 0.25"),
    ],
)
def test_dense_refuses_and_names_the_entry(A, words):
    with pytest.raises(InputError, match=words):
        Dense(A)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((torch.ones(2, 3), torch.eye(3), 0.0), r"give H as \(2, 2\)"),
        ((torch.ones(2, 3), torch.eye(2, dtype=torch.float64), 0.0), "float64"),
        ((torch.ones(2, 3), torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 0.0), "not symmetric"),
        ((torch.ones(2, 3), None, -1.0), "damping is -1.0"),
        ((torch.ones(2, 3), None, math.inf), "damping is inf"),
        ((torch.full((2, 3), math.inf), None, 0.0), r"J\[0, 0\] is inf"),
    ],
)
def test_low_rank_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        LowRank(*arguments)


def test_rounding_of_a_gram_product_is_symmetric_enough():
    J = torch.randn(200, 300, generator=torch.Generator().manual_seed(0))
    Dense(J @ J.T)


def test_dense_of_a_large_low_rank_system_is_refused_but_matvec_works():
    system = LowRank(torch.ones(1, 30_000))
    with pytest.raises(InputError, match="use matvec"):
        system.dense()
    assert float(system.matvec(torch.ones(30_000))[0]) == 30_000


def test_vectors_and_durations():
    system = Dense(torch.eye(2))
    check_vector("b", torch.ones(2), system)
    with pytest.raises(InputError, match=r"b is \(3,\)"):
        check_vector("b", torch.ones(3), system)
    with pytest.raises(InputError, match="float64"):
        check_vector("b", torch.ones(2, dtype=torch.float64), system)
    with pytest.raises(InputError, match=r"b\[1\] is nan"):
        check_vector("b", torch.tensor([0.0, math.nan]), system)
    assert check_duration(math.inf) == math.inf
    for bad in (-1.0, math.nan):
        with pytest.raises(InputError, match="duration"):
            check_duration(bad)
