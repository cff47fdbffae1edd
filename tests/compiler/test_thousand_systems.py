"""A thousand random systems over all fabrics: the emitted text solves the system within the predicted bound, or a typed rejection.

The text is solved by tests/compiler/oracle.py, which shares no code with the package.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.technology.presets import PRESETS
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.fabrics.registry import fabric_named, fabric_names

from ..systems import kronecker, low_rank
from .oracle import maxwell_matrix, operating_point, settled_flux_readings

SYSTEMS = 1000
KT = 1.380649e-23 * 300.15


def draw(rng):
    """A matrix (n, n) of some kind, its damping, and what it is made of."""
    n = int(rng.integers(1, 25))
    kind = rng.choice(["dense", "sparse", "M-matrix", "passive", "singular", "graded", "indefinite"])
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    spectrum = 10.0 ** (rng.uniform(0, 6) * rng.uniform(size=n))
    a = (basis * spectrum) @ basis.T
    damping = 0.0
    if kind in ("sparse", "M-matrix", "passive"):
        off = np.triu(rng.standard_normal((n, n)) * (rng.uniform(size=(n, n)) < rng.uniform(0.05, 1.0)), 1)
        off = -np.abs(off + off.T) if kind == "M-matrix" else off + off.T
        margin = 10.0 ** rng.uniform(-4, 1)
        slack = (
            np.abs(off).sum(axis=1) + margin if kind != "sparse" else np.full(n, margin - np.linalg.eigvalsh(off)[0])
        )
        d = 10.0 ** rng.uniform(-1, 1, n) if kind != "sparse" else np.ones(n)
        a = (off + np.diag(slack)) * np.outer(d, d)
    elif kind == "singular":
        spectrum[: (n + 1) // 2] = 0.0
        a, damping = (basis * spectrum) @ basis.T, float(10.0 ** rng.uniform(-6, 0) * max(1.0, spectrum.max()))
    elif kind == "graded":
        d = 10.0 ** rng.uniform(-2, 2, n)
        a = (0.3 * a / spectrum.max() + np.eye(n)) * np.outer(d, d)
    elif kind == "indefinite":
        a = a - spectrum.mean() * np.eye(n)
    return (a + a.T) / 2, damping, kind


def technology(rng):
    preset = PRESETS[str(rng.choice(list(PRESETS)))]
    choice = rng.integers(4)
    if choice == 1:
        return preset.replace(resistors__bits=int(rng.integers(3, 13)), resistors__series=None)
    if choice == 2:
        series = str(rng.choice(["E6", "E12", "E24", "E48", "E96", "E192"]))
        return preset.replace(resistors__series=series, resistors__bits=None)
    if choice == 3:
        return preset.replace(
            resistors__bits=8, resistors__on_off=float(10 ** rng.uniform(0.5, 4)), resistors__series=None
        )
    return preset


def assert_remedies(rejections):
    """Each rejection says what to do."""
    assert [text for text in rejections if not any(word in text.lower() for word in ("use ", "add ", "give "))] == []


def check(program, b, a):
    """The error of the emitted text against A^-1 b must be within the bound; the error over the bound."""
    exact = np.linalg.solve(a, b)
    if program.fabric_name == "spu":
        capacitance = maxwell_matrix(program.to_spice(), [plus for plus, _ in program.readouts])
        x = program.decode_covariance(KT * np.linalg.inv(capacitance)) @ b
    elif program.fabric_name == "lc":
        x = program.decode(settled_flux_readings(program.to_spice(b)))
    else:
        x = program.decode(operating_point(program.to_spice(b)))
    error = float(np.linalg.norm(x - exact) / np.linalg.norm(exact))
    bound = describe(program, dies=0).solution_bound
    rounding = 1e-13 * np.linalg.cond(a)
    assert error <= bound * (1 + 1e-6) + rounding, (program.fabric_name, program.technology.name, error, bound)
    return error


def compiled_or_rejected(fabric, seed):
    """One system of that seed: the error over |A^-1 b| of its circuit, which `check` has found within the bound, or the rejection."""
    rng = np.random.default_rng([2026, seed])
    a, damping, kind = draw(rng)
    n, parts = len(a), technology(rng)
    b = rng.standard_normal(n)
    given_matrix = sparse.csr_array(a) if rng.uniform() < 0.2 else a
    equilibrate = bool(rng.integers(2)) and (fabric == "auto" or fabric_named(fabric).active)
    options = {"equilibrate": equilibrate, "prune": float(rng.choice([0.0, 0.01]))}
    rounded = parts.resistors.bits is not None or parts.resistors.series is not None
    if rounded and n <= 12 and fabric not in ("lc", "spu"):
        options |= {"rounding": str(rng.choice(["nearest", "solution", "stochastic"])), "seed": seed}
    try:
        program = compile_matrix(given_matrix, fabric, parts, damping, b=None if fabric == "spu" else b, **options)
    except InputError as rejection:
        return rejection
    assert kind != "indefinite" or np.linalg.eigvalsh(a)[0] > 0
    target = program.target.toarray() if sparse.issparse(program.target) else program.target
    slack = 0.5 if options["prune"] else 1e-9
    np.testing.assert_allclose(target, a + damping * np.eye(n), atol=slack * np.abs(a).max())
    return check(program, b, target)


@pytest.mark.slow
@pytest.mark.parametrize("fabric", ["auto", *(name for name in fabric_names() if name != "factored")])
def test_a_right_circuit_or_a_typed_rejection(fabric):
    found = []

    @settings(max_examples=SYSTEMS // 8 + 1, derandomize=True, database=None)
    @given(seed=st.integers(0, 2**40))
    def one(seed):
        found.append(compiled_or_rejected(fabric, seed))

    one()
    rejections = [str(one) for one in found if isinstance(one, InputError)]
    assert_remedies(rejections)
    assert len(found) - len(rejections) > 15, rejections


@pytest.mark.slow
def test_factored_systems_too():
    rejections = []
    for k in range(60):
        rng = np.random.default_rng([7, k])
        b = None
        if k % 3:
            n, rows = int(rng.integers(2, 25)), int(rng.integers(1, 6))
            h = rng.standard_normal((rows, rows))
            core = None if k % 2 else h @ h.T
            system = low_rank(J=rng.standard_normal((rows, n)), H=core, damping=float(10 ** rng.uniform(-3, 1)))
        else:
            p, q = rng.integers(1, 5, 2)
            factors = [rng.standard_normal((m, m)) for m in (p, q)]
            system = kronecker(
                A=factors[0] @ factors[0].T, B=factors[1] @ factors[1].T, damping=float(10 ** rng.uniform(-2, 1))
            )
        try:
            program = compile_system(system, "factored", technology(rng))
        except InputError as rejection:
            rejections.append(str(rejection))
            continue
        b = rng.standard_normal(program.size)
        check(program, b, program.target)
    assert_remedies(rejections)


def test_a_wrong_circuit_would_be_seen():
    """Negative control: one resistor of the emitted text off by 1 % leaves the bound of an ideal technology."""
    rng = np.random.default_rng(1)
    a = rng.standard_normal((5, 5))
    a, b = a @ a.T + np.eye(5), rng.standard_normal(5)
    program = compile_matrix(a, "crossbar", b=b)
    check(program, b, a)
    text = program.to_spice(b)
    line = next(line for line in text.splitlines() if line.startswith("R2_2p"))
    words = line.split()
    wrong = text.replace(line, " ".join([*words[:3], repr(float(words[3]) * 1.01), *words[4:]]))
    x, exact = program.decode(operating_point(wrong)), np.linalg.solve(a, b)
    assert np.linalg.norm(x - exact) > 10 * describe(program, dies=0).solution_bound * np.linalg.norm(exact)


@pytest.mark.parametrize("fabric", ["crossbar", "oscillator"])
def test_a_matrix_that_rounding_makes_singular_is_rejected(fabric):
    parts = PRESETS["ideal"].replace(resistors__series="E6")
    with pytest.raises(
        UnrealisableError,
        match=r"rounded to series E6, the matrix has an eigenvalue of 0 .* or at least 0 more damping",
    ):
        compile_matrix([[1.0, -1.0], [-1.0, 1.001]], fabric, parts, b=[1.0, 2.0])
