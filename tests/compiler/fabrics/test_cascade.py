"""Systems by their factors: the cascade solves without ever holding the product, counts its parts, and must not oscillate."""

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import Resistor
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.factors import multiplied
from thermograd.compiler.linear_system import FactoredSystem, LinearSystem
from thermograd.compiler.program_io import load_program
from thermograd.devicemodel.systems import Dense, Kronecker, LowRank

from ...systems import built_for

RNG = np.random.default_rng(3)
J, H = RNG.standard_normal((3, 10)), np.array([[1.0, 0.2, 0.0], [0.2, 0.6, -0.1], [0.0, -0.1, 0.4]])
B = RNG.standard_normal(10)
IDEAL = preset("ideal")


def low_rank(core=True, damping=0.5):
    return LowRank(torch.tensor(J), torch.tensor(H) if core else None, damping)


@pytest.mark.parametrize(
    "system", [low_rank(), low_rank(core=False), Kronecker(torch.tensor(H), torch.eye(2).double(), 0.1)]
)
def test_the_devices_systems_are_factored_systems(system):
    assert isinstance(system, FactoredSystem)
    assert isinstance(Dense(torch.tensor(H)), LinearSystem)
    assert not isinstance(Dense(torch.tensor(H)), FactoredSystem)
    whole = multiplied(system.factors()) + system.damping * np.eye(system.size)
    np.testing.assert_allclose(whole, system.dense(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(system.diagonal(), system.dense().diagonal(), rtol=1e-12)


@pytest.mark.parametrize("technology", ["ideal", "breadboard", "integrated"])
@pytest.mark.parametrize("system", [low_rank(), low_rank(core=False), Kronecker(torch.tensor(H), torch.tensor(H), 0.3)])
def test_ngspice_solves_the_product_within_the_predicted_bound(technology, system):
    program = compile_system(system, "factored", built_for("factored", technology))
    b = np.random.default_rng(1).standard_normal(program.size)
    x = program.decode(run(program.netlist(b), program.analysis()).voltages)
    exact = np.linalg.solve(system.dense().numpy(), b)
    report = describe(program, dies=0)
    assert np.linalg.norm(x - exact) <= (report.solution_bound + 1e-6) * np.linalg.norm(exact)


def test_the_parts_are_those_of_the_paper_and_the_product_is_nowhere():
    k, n = J.shape
    program = compile_system(low_rank(), "factored")
    netlist = program.netlist()
    arrays = [part for part in netlist.of(Resistor) if part.name[1].isdigit()]
    zeros = int((H == 0).sum())
    assert len(arrays) == 2 * (k * (k + 2 * n) - zeros)  # b dz (b dz + 2 N), on two rails
    # the product would need an array of n columns before each cell; here only k rows of the last stage reach it
    reaching = {part.a[:2] for part in netlist.of(Resistor) if part.b == "ep1" and part.name[1].isdigit()}
    assert reaching == {"u2"}
    assert program.report.parts["amplifier"] == n + 2 * k


def test_finite_gain_takes_the_share_that_the_law_says():
    """Each summing stage loses (L / g + 1) / A0 of its signal; to first order, by hand."""
    gain = 1e4
    system = low_rank(core=False)
    program = compile_system(system, "factored", IDEAL.replace(opamp__gain=gain))
    parts, unit = program.parts, program.conductance_unit
    first, last = (array.toarray() for array in parts.arrays)
    loss = (np.abs(first).sum(axis=1) / parts.feedback[0] + 1) / gain
    product = last @ np.diag((1 - loss) / parts.feedback[0]) @ first + np.diag(parts.damping)
    product += np.diag(np.abs(last).sum(axis=1) + parts.damping + parts.drive) / gain
    np.testing.assert_allclose(program.matrix, product / unit, rtol=1e-6, atol=1e-6 * np.abs(program.matrix).max())
    assert np.abs(program.matrix - program.target).max() > 1e-4 * np.abs(program.target).max()


def test_auto_takes_the_cheaper_of_cascade_and_array():
    wide, square = low_rank(), LowRank(torch.tensor(RNG.standard_normal((9, 10))), None, 1.0)
    assert compile_system(wide).fabric_name == "factored"
    assert "takes" in compile_system(wide).reason
    assert compile_system(square).fabric_name == "crossbar"
    assert compile_system(Dense(torch.tensor(H))).fabric_name == compile_matrix(H).fabric_name
    assert compile_system(wide, "crossbar").fabric_name == "crossbar"


def test_amplifiers_that_are_too_slow_for_the_loop_are_rejected():
    """The verdict on the poles is that of the whole netlist's state space."""
    wide = LowRank(torch.tensor(np.random.default_rng(3).standard_normal((3, 40))), torch.tensor(H), 0.5)
    verdicts = set()
    for gbw in np.logspace(4, 8, 5):
        technology = IDEAL.replace(opamp__gbw=float(gbw), opamp__gain=1e5)
        try:
            program = compile_system(wide, "factored", technology)
            stable = True
        except UnrealisableError:
            stable = False
        verdicts.add(stable)
        if stable:
            assert state_space(program.netlist(), {}).is_stable
        else:
            laid = compile_system(wide, "factored", IDEAL.replace(opamp__gain=1e5))
            object.__setattr__(laid, "technology", technology)
            laid.__dict__.pop("_undriven", None)
            assert not state_space(laid.netlist(), {}).is_stable
    assert verdicts == {True, False}
    with pytest.raises(UnrealisableError, match="too slow"):
        compile_system(wide, "factored", IDEAL.replace(opamp__gbw=1e4, opamp__gain=1e5))


@pytest.mark.parametrize(
    ("system", "message"),
    [
        (LowRank(torch.ones(2, 3).double(), -torch.eye(2).double(), 1.0), "positive semi-definite"),
        (LowRank(torch.zeros(2, 3).double(), None, 1.0), "zero everywhere"),
        (LowRank(torch.ones(2, 3).double(), None, 0.0), "damping >"),
        (LowRank(torch.ones(1, 4000).double(), None, 1.0), "at most 3000"),
        (object(), "give a matrix or a LinearSystem"),
    ],
)
def test_a_system_that_no_cascade_can_hold_is_an_error(system, message):
    with pytest.raises(InputError, match=message):
        compile_system(system, "factored")


def test_what_a_cascade_cannot_do_is_an_error_that_says_so():
    for options, message in (
        ({"prune": 0.1}, "holds? factors; leave prune out"),
        ({"rounding": "solution"}, "not supported by fabric"),
    ):
        technology = IDEAL.replace(resistors__bits=8)
        with pytest.raises(InputError, match=message):
            compile_system(low_rank(), "factored", technology, **options)
    assert compile_system(low_rank(), prune=1e-3).fabric_name == "crossbar"
    assert compile_system(low_rank()).fabric_name == "factored"


def test_an_equilibrated_cascade_holds_the_same_matrix_with_a_unit_diagonal():
    grades = np.logspace(0, -1.5, 10)
    system = LowRank(torch.tensor(J * grades), torch.tensor(H), 0.01)
    plain, scaled = (compile_system(system, "factored", b=B, equilibrate=flag) for flag in (False, True))
    np.testing.assert_array_equal(plain.scaling, 1.0)
    np.testing.assert_allclose(scaled.matrix, system.dense(), rtol=1e-9, atol=1e-9)
    held = scaled.scaling[:, None] * system.dense().numpy() * scaled.scaling
    np.testing.assert_allclose(np.diag(held), held[0, 0], rtol=1e-12)
    volts = run(scaled.netlist(B), scaled.analysis()).voltages
    exact = np.linalg.solve(system.dense().numpy(), B)
    assert np.linalg.norm(scaled.decode(volts) - exact) < 1e-5 * np.linalg.norm(exact)


def test_equilibrate_and_prune_reach_the_multiplied_out_matrix():
    system = low_rank()
    one = compile_system(system, "crossbar", equilibrate=True, prune=0.3)
    other = compile_matrix(
        system.dense().numpy() - 0.5 * np.eye(10), "crossbar", damping=0.5, equilibrate=True, prune=0.3
    )
    assert one.pruned == other.pruned > 0
    np.testing.assert_allclose(one.scaling, other.scaling, rtol=1e-12)
    assert not np.allclose(one.scaling, 1.0)
    dense = compile_system(Dense(torch.tensor(H)), "crossbar", equilibrate=True)
    np.testing.assert_array_equal(dense.scaling, compile_matrix(H, "crossbar", equilibrate=True).scaling)


def test_a_matrix_has_no_factors():
    with pytest.raises(UnrealisableError, match="compile_system"):
        compile_matrix(H, "factored")


def test_no_stage_passes_the_rail():
    technology = IDEAL.replace(opamp__gain=1e5, dac__full_scale=10.0)
    wide = LowRank(torch.ones(1, 36).double(), None, 0.5)
    for b in (np.ones(36), None):
        program = compile_system(wide, "factored", technology, b=b)
        drive = np.ones(36) if b is not None else np.ones(36) / 6  # of unit norm
        voltages = run(program.netlist(drive), OperatingPoint()).voltages
        assert abs(voltages["u1p1"] - voltages["u1m1"]) <= 0.5 * technology.opamp.output_limit * (1 + 1e-6)


def test_a_factor_in_single_precision_is_definite_to_its_own_rounding():
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0))
    for row in torch.softmax(3 * logits, dim=1):
        H = torch.diag(row) - torch.outer(row, row)  # singular, and in float32 a little below zero
        assert compile_system(LowRank(torch.randn(10, 30), H, 0.5)).fabric_name in ("factored", "crossbar")
    gram = torch.randn(40, 12)
    gram = (gram * 1.7).T @ gram / 40 + torch.eye(12)
    gram[0, 1] *= 1 + 3e-7
    assert compile_matrix(gram).size == compile_system(gram).size == 12
    with pytest.raises(InputError, match="not symmetric"):
        compile_matrix(gram.double())


def test_the_damping_stays_what_it_was_whichever_fabric_takes_the_system():
    assert compile_system(low_rank(damping=0.25)).damping == 0.25
    assert compile_system(low_rank(damping=0.25), "crossbar").damping == 0.25


def test_everything_can_be_bought():
    from thermograd.circuits.technology.e_series import nearest_preferred

    technology = IDEAL.replace(resistors__series="E12", resistors__unit=1234.0)
    programs = [compile_system(low_rank(), "factored", technology)]
    programs += [compile_matrix(H, fabric, technology) for fabric in ("crossbar", "crossbar_single")]
    programs += [compile_matrix([[2.0, -0.5], [-0.5, 1.0]], fabric, technology) for fabric in ("rc", "lc", "spu")]
    for program in programs:
        values = np.array([part.resistance for part in program.netlist().of(Resistor) if part.noisy])
        np.testing.assert_allclose(values, nearest_preferred(values, "E12"), rtol=1e-9)


def test_a_saved_cascade_comes_back(tmp_path):
    program = compile_system(low_rank(), "factored", "integrated", b=B)
    program.save(tmp_path / "cascade")
    same = load_program(tmp_path / "cascade")
    assert same.to_spice(B) == program.to_spice(B)
    np.testing.assert_array_equal(same.matrix, program.matrix)
