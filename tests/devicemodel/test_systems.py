"""The records of linear systems: what they hold and what they refuse."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.compiler.linear_system import FactoredSystem, LinearSystem
from thermograd.devicemodel.checks import check_duration
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.ou.process import OU
from thermograd.devicemodel.systems import (
    Dense,
    Implicit,
    Kronecker,
    LowRank,
    check_vector,
    eigenvalue_floor,
    norm_bound,
)


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
        ((torch.eye(2), torch.eye(2), -1.0), "damping must be .* got -1.0"),
    ],
)
def test_kronecker_rejects(arguments, words):
    with pytest.raises(InputError, match=words):
        Kronecker(*arguments)


@pytest.mark.parametrize(
    ("A", "words"),
    [
        (torch.zeros(2, 3), "square"),
        (torch.zeros(0, 0), "at least one entry"),
        (torch.zeros(3), "of 2 axes"),
        (torch.eye(2, dtype=torch.int64), "float32 or float64"),
        ([[1.0]], "list"),
        (torch.tensor([[1.0, 0.0], [0.0, math.nan]]), r"A\[1, 1\] is nan"),
        (torch.tensor([[1.0, 0.5], [0.25, 1.0]]), r"A\[0, 1\] = 0.5 but A\[1, 0\] = 0.25"),
    ],
)
def test_dense_rejects_and_names_the_entry(A, words):
    with pytest.raises(InputError, match=words):
        Dense(A)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((torch.ones(2, 3), torch.eye(3), 0.0), r"H must be \(2, 2\)"),
        ((torch.ones(2, 3), torch.eye(2, dtype=torch.float64), 0.0), "float64"),
        ((torch.ones(2, 3), torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 0.0), "not symmetric"),
        ((torch.ones(2, 3), None, -1.0), "damping must be .* got -1.0"),
        ((torch.ones(2, 3), None, math.inf), "damping must be .* got inf"),
        ((torch.full((2, 3), math.inf), None, 0.0), r"J\[0, 0\] is inf"),
    ],
)
def test_low_rank_rejects(arguments, words):
    with pytest.raises(InputError, match=words):
        LowRank(*arguments)


def test_rounding_of_a_gram_product_is_symmetric_enough():
    J = torch.randn(200, 300, generator=torch.Generator().manual_seed(0))
    Dense(J @ J.T)


def test_dense_of_a_large_low_rank_system_raises_but_matvec_works():
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


BATCHES = {
    "dense": lambda g: Dense((lambda M: M @ M.mT)(torch.randn(3, 4, 4, generator=g, dtype=torch.float64))),
    "low rank": lambda g: LowRank(
        torch.randn(3, 2, 5, generator=g, dtype=torch.float64), torch.eye(2, dtype=torch.float64) * 2, 0.3
    ),
    "many middles": lambda g: LowRank(
        torch.randn(2, 5, generator=g, dtype=torch.float64),
        torch.diag_embed(torch.rand(3, 2, generator=g, dtype=torch.float64)),
    ),
    "kronecker": lambda g: Kronecker(
        torch.diag_embed(torch.rand(3, 2, generator=g, dtype=torch.float64)),
        torch.ones(2, 2, dtype=torch.float64),
        0.1,
    ),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_a_batch_is_its_members(kind):
    g = torch.Generator().manual_seed(3)
    system = BATCHES[kind](g)
    assert isinstance(system, LinearSystem)
    assert system.batch == (3,)
    n = system.size
    x, whole = torch.randn(3, n, generator=g, dtype=torch.float64), system.dense().expand(3, n, n)
    torch.testing.assert_close(system.matvec(x), torch.einsum("bij,bj->bi", whole, x))
    torch.testing.assert_close(system.diagonal().expand(3, n), whole.diagonal(dim1=-2, dim2=-1))
    with pytest.raises(InputError, match=r"a batch of shape \(3,\): a device takes one"):
        IdealDevice().solve(system, x[0], 1.0)
    process = OU(system, x, 0.1)
    alone = [OU(whole[k], x[k], 0.1).marginal(torch.zeros(n, dtype=torch.float64), 0.7) for k in range(3)]
    found = process.marginal(torch.zeros(n, dtype=torch.float64), 0.7)
    torch.testing.assert_close(found.mean, torch.stack([one.mean for one in alone]))
    torch.testing.assert_close(found.variance, torch.stack([one.variance for one in alone]))


def test_factors_multiply_to_the_matrix_and_are_checked():
    g = torch.Generator().manual_seed(4)
    J, M = torch.randn(2, 5, generator=g, dtype=torch.float64), torch.randn(2, 2, generator=g, dtype=torch.float64)
    for system in (LowRank(J, M @ M.mT, 0.3), LowRank(J, None, 0.3), Kronecker(M @ M.mT, M @ M.mT, 0.2)):
        assert isinstance(system, FactoredSystem)
        product = torch.eye(system.size, dtype=torch.float64).numpy()
        for factor in system.factors():
            product = product @ factor.toarray() if product.shape[1] == factor.shape[0] else None
        whole = system.dense().numpy() - system.damping * torch.eye(system.size, dtype=torch.float64).numpy()
        torch.testing.assert_close(torch.tensor(product), torch.tensor(whole), rtol=1e-12, atol=1e-12)
    with pytest.raises(InputError, match="H has the eigenvalue"):
        LowRank(J, torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))).factors()


def test_an_implicit_system_has_products_alone():
    class Rows:
        J = torch.tensor([[1.0, 2.0, 0.0]], dtype=torch.float64)
        shape, dtype = (1, 3), torch.float64

        def matvec(self, v):
            return self.J @ v

        def rmatvec(self, u):
            return self.J.mT @ u

    system = Implicit(Rows(), 0.5)
    assert isinstance(system, LinearSystem)
    x = torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(system.matvec(x), LowRank(Rows.J, None, 0.5).matvec(x))
    for method in (system.dense, system.diagonal):
        with pytest.raises(InputError, match="Implicit system"):
            method()


@given(kind=st.sampled_from(["dense", "low-rank", "weighted", "kronecker", "implicit"]), seed=st.integers(0, 9999))
@settings(max_examples=80, deadline=None)
def test_floor_and_norm_bound_hold_between_them_all_eigenvalues(kind, seed):
    """Also where a factor has negative eigenvalues, which take off from the damping."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    def symmetric(n, share):
        B = normal(n, n)
        return B @ B.mT - share * float(seed % 3) * torch.eye(n, dtype=torch.float64)

    J, damping = normal(3, 5), 0.5 + seed % 7
    system = {
        "dense": Dense(J.mT @ J + damping * torch.eye(5, dtype=torch.float64), floor=damping * (1 - 1e-9)),
        "low-rank": LowRank(J, None, damping),
        "weighted": LowRank(J, symmetric(3, 0.05), damping),
        "kronecker": Kronecker(symmetric(2, 0.2), symmetric(3, 0.2), damping),
        "implicit": LowRank(J, None, damping),
    }[kind]
    values = torch.linalg.eigvalsh(system.dense())
    if kind == "implicit":

        class Rows:
            shape, dtype = J.shape, J.dtype
            gram = staticmethod(lambda: J @ J.mT)

        system = Implicit(Rows(), damping)
    floor = eigenvalue_floor(system)
    if floor is None:
        assert float(values[0]) < damping  # only negative eigenvalues of a factor can take all of it
    else:
        assert 0 < floor <= float(values[0]) * (1 + 1e-9)
    assert float(values.abs().max()) <= norm_bound(system) * (1 + 1e-9)
    if kind in ("low-rank", "implicit"):
        assert floor == damping


def test_of_a_matrix_without_more_no_floor_is_known():
    assert eigenvalue_floor(Dense(torch.eye(2))) is None
