"""Functions of a Gram matrix against exponentials of the N x N matrix, and the error bound of Lanczos' method against the error."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from thermograd.devicemodel.ou.functions import Decay, Response, Spread
from thermograd.devicemodel.ou.gram import ROWS_PER_VECTOR, Gram, _Lanczos
from thermograd.devicemodel.ou.krylov.lanczos_bound import lanczos_bound

F64 = torch.float64
FUNCTIONS = [lambda t: Decay(t), lambda t: Response(t), lambda t: Spread(t, 0.3)]


def factor(k, n, spectrum, seed=0):
    """J, (k, n), with these squared singular values."""
    g = torch.Generator().manual_seed(seed)
    U, _ = torch.linalg.qr(torch.randn(k, k, dtype=F64, generator=g))
    V, _ = torch.linalg.qr(torch.randn(n, k, dtype=F64, generator=g))
    return (U * spectrum.sqrt()) @ V.mT, g


def through_gram(J, damping, terms, gram=None, **options):
    """x = sum f(A) v, and what Gram says of it."""
    outside = sum(f(torch.tensor(damping, dtype=F64)) * v for f, v in terms)
    gram = gram or Gram(J @ J.mT)
    found = gram.sum([(f, J @ v) for f, v in terms], damping, outside.norm(), **options)
    return outside + J.mT @ found.coefficients, found


def dense(A, f, v):
    """f(A) v by scipy's functions of the dense matrix."""
    t = f.t
    if isinstance(f, Decay):
        return linalg.expm(-A * t) @ v
    n = len(A)
    if isinstance(f, Response):
        return linalg.expm(np.block([[-A, v[:, None]], [np.zeros((1, n + 1))]]) * t)[:n, n]
    response = linalg.expm(np.block([[-A, np.eye(n)], [np.zeros((n, 2 * n))]]) * 2 * t)[:n, n:]
    return linalg.sqrtm(f.rate / 2 * response).real @ v


@given(
    k=st.integers(1, 6),
    extra=st.integers(1, 6),
    damping=st.sampled_from([0.0, 1e-8, 0.01, 1.0]),
    t=st.sampled_from([1e-4, 0.3, 5.0]),
    rank=st.integers(0, 6),
    seed=st.integers(0, 99),
)
def test_sums_are_functions_of_the_dense_matrix(k, extra, damping, t, rank, seed):
    w = 10.0 ** (4 * torch.rand(k, dtype=F64, generator=torch.Generator().manual_seed(seed)) - 3)
    w[rank:] = 0.0
    J, g = factor(k, k + extra, w, seed)
    A = (J.mT @ J).numpy() + damping * np.eye(k + extra)
    for make in FUNCTIONS:
        v = torch.randn(k + extra, dtype=F64, generator=g)
        expected = dense(A, make(t), v.numpy())
        found, _ = through_gram(J, damping, [(make(t), v)])
        # scipy's sqrtm loses half the digits of eigenvalues that meet, hence 1e-7 for the third
        tolerance = 1e-7 if isinstance(make(t), Spread) else 1e-11
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


SPECTRA = {
    "even": lambda k: torch.linspace(0.1, 10.0, k, dtype=F64),
    "eight decades": lambda k: torch.logspace(2, -6, k, dtype=F64),
    "outliers": lambda k: torch.cat([torch.logspace(3, 1, 8, dtype=F64), torch.logspace(-1, -4, k - 8, dtype=F64)]),
}


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize(("damping", "t"), [(0.01, 5.0), (0.5, 50.0), (0.1, math.inf), (0.0, 2.0)])
@pytest.mark.parametrize("make", FUNCTIONS)
def test_error_of_every_step_is_below_its_bound(spectrum, damping, t, make):
    f, k = make(t), 120
    if isinstance(f, Decay) and math.isinf(t):
        f = Response(t)
    w = SPECTRA[spectrum](k)
    J, g = factor(k, 150, w)
    v = torch.randn(150, dtype=F64, generator=g)
    exact, _ = through_gram(J, damping, [(f, v)], method="eigen")
    recurrence = _Lanczos(J @ J.mT, (J @ v).unsqueeze(0), k // 2)
    ratios = []
    for m in range(2, 60):
        recurrence.extend_to(m)
        taken = recurrence.apply([(0, lambda w: f.slope(damping, w))])
        error = float((f(torch.tensor(damping, dtype=F64)) * v - J.mT @ taken - exact).norm())
        beta = recurrence.next[0, :m]
        bound = float(recurrence.size[0] * lanczos_bound(f, damping, recurrence.theta[0], beta, float(w.max())))
        assert error <= bound + 1e-11 * float(exact.norm()), m
        if error > 1e-10 * float(exact.norm()):
            ratios.append(error / bound)
    # Negative control: the bound is no blanket. A hundredth of it would be below the error somewhere.
    assert max(ratios) > 0.01


@settings(max_examples=15)
@given(
    spectrum=st.sampled_from(sorted(SPECTRA)),
    damping=st.sampled_from([0.1, 1.0]),
    t=st.sampled_from([0.3, 3.0, math.inf]),
    tolerance=st.sampled_from([1e-3, 1e-6, 1e-9]),
    seed=st.integers(0, 99),
)
def test_lanczos_meets_the_tolerance_asked_for(spectrum, damping, t, tolerance, seed):
    J, g = factor(400, 420, SPECTRA[spectrum](400), seed)
    makers = [Response, lambda t: Spread(t, 0.3)] if math.isinf(t) else FUNCTIONS
    terms = [(make(t), torch.randn(420, dtype=F64, generator=g)) for make in makers]
    exact, how = through_gram(J, damping, terms, method="eigen")
    assert how.steps == 0
    found, how = through_gram(J, damping, terms, tolerance=tolerance, method="lanczos")
    error = float((found - exact).norm())
    if how.steps:
        assert error <= float(how.bound) + 1e-11 * float(exact.norm())
        assert float(how.bound) <= 1.01 * tolerance * float(exact.norm())
    else:  # the bound was not met within k / 4 steps, and eigenvalues were taken
        assert error <= 1e-11 * float(exact.norm())


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("t", [0.3, 3.0, math.inf])
def test_functions_in_the_space_of_the_rows(spectrum, t):
    J, g = factor(400, 420, SPECTRA[spectrum](400))
    makers = [Response, lambda t: Spread(t, 0.3)] if math.isinf(t) else FUNCTIONS
    y = torch.randn(400, dtype=F64, generator=g)
    terms = [(make(t), y) for make in makers]
    gram = Gram(J @ J.mT)
    w, U = torch.linalg.eigh(J @ J.mT)
    exact = sum(U @ (f(w.clamp(min=0) + 0.1) * (U.mT @ y)) for f, y in terms)
    for method in ("eigen", "lanczos"):
        found = Gram(gram.matrix).inside(terms, 0.1, 1e-6, method)
        error = float((found.coefficients - exact).norm())
        assert error <= float(found.bound) + 1e-10 * float(exact.norm())
        assert float(found.bound) <= 1.01e-6 * float(exact.norm())
        other = Gram(gram.matrix).inside(terms, 0.11, 1e-6, method)
        assert float((other.coefficients - exact).norm()) > 1e-4 * float(exact.norm())


def test_the_method_is_chosen_by_size_and_number_of_vectors():
    small, large = ROWS_PER_VECTOR // 2, ROWS_PER_VECTOR
    for k, vectors, expected in ((small, 1, False), (large, 1, True), (large, 2, False)):
        J, g = factor(k, k + 1, torch.linspace(0.5, 2.0, k, dtype=F64))
        terms = [(Response(1.0), torch.randn(k + 1, dtype=F64, generator=g)) for _ in range(vectors)]
        gram = Gram(J @ J.mT)
        _, how = through_gram(J, 0.1, terms, gram)
        assert bool(how.steps) is expected
    # eigenvalues that are there are used; where there is no bound (a settled law without damping) they are taken
    gram = Gram(J @ J.mT)
    _ = gram.eigen
    assert through_gram(J, 0.1, terms[:1], gram)[1].steps == 0
    assert not through_gram(J, 0.1, [(lambda a: 1 / a, terms[0][1])])[1].steps


def test_batches_and_starts_in_invariant_subspaces():
    J, g = factor(60, 70, torch.linspace(0.5, 40.0, 60, dtype=F64))
    few = J.mT @ (J @ torch.randn(70, dtype=F64, generator=g))
    w, U = torch.linalg.eigh(J @ J.mT)
    eigenvector = J.mT @ U[:, 3]
    v = torch.stack([few, eigenvector, torch.zeros(70, dtype=F64)])
    outside = Decay(0.7)(torch.tensor(0.1, dtype=F64)) * v
    gram = Gram(J @ J.mT)
    by = {
        method: gram.sum([(Decay(0.7), v @ J.mT)], 0.1, outside.norm(dim=-1).clamp(min=1e-300), 1e-8, method)
        for method in ("lanczos", "eigen")
    }
    assert by["lanczos"].steps == 0 or by["lanczos"].steps <= 15
    torch.testing.assert_close(by["lanczos"].coefficients, by["eigen"].coefficients, rtol=0, atol=1e-8)
    torch.testing.assert_close(
        (outside + by["eigen"].coefficients @ J)[1], torch.exp(-0.7 * (w[3] + 0.1)) * eigenvector
    )
