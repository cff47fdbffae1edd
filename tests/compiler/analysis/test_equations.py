"""Equations in symbols: proved for what was compiled, worked out by hand for the smallest, rejected for whatever was changed."""

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.elimination import Inverses
from thermograd.compiler.analysis.equations import derive_equations
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.matrices import dense
from thermograd.compiler.passes.verify import VerificationError
from thermograd.compiler.program import AnalogProgram

from ...systems import built_for, kronecker, low_rank

FABRICS = ["rc", "dual_rail", "crossbar", "crossbar_single", "factored", "lc", "spu", "oscillator"]
NEGATIVE_ONLY = ("rc", "spu")
TECHNOLOGIES = {
    "ideal": preset("ideal"),
    "breadboard": preset("breadboard"),
    "slow": preset("ideal").replace(opamp__gain=1e3, opamp__gbw=1e7),
}


def dominant(signs, seed=0):
    """A matrix with these signs above the diagonal (row by row), positive definite since its diagonal dominates."""
    n = next(n for n in range(1, 9) if n * (n - 1) // 2 == len(signs))
    rng = np.random.default_rng([seed, n])
    a = np.zeros((n, n))
    a[np.triu_indices(n, 1)] = np.array(signs, dtype=float) * rng.uniform(0.2, 1.0, len(signs))
    a += a.T
    return a + np.diag(np.abs(a).sum(axis=1) + rng.uniform(0.3, 1.0, n))


def program_of(fabric, n, technology="ideal", seed=0):
    rng = np.random.default_rng([seed, n, 7])
    m = n * (n - 1) // 2
    signs = [-1] * m if fabric in NEGATIVE_ONLY else [1 - 2 * ((k + 1) % 3 > 0) for k in range(m)]
    technology = built_for(fabric, TECHNOLOGIES[technology])
    if fabric == "factored":
        system = low_rank(J=rng.standard_normal((n, n)), H=dominant(signs, seed), damping=0.5)
        return compile_system(system, "factored", technology)
    return compile_matrix(dominant(signs, seed), fabric, technology)


def numbers(equations, program, s, gain=None):
    """Y(s) by sympy's own substitution of the values of the parts into the equations."""
    n = program.size
    values = {symbol: quantity.value for symbol, quantity in equations.symbols.items()} | {sympy.Symbol("s"): s}
    if gain is not None and sympy.Symbol("A_0") in values:
        values[sympy.Symbol("A_0")] = gain
    v = [sympy.Symbol(f"v_{i + 1}") for i in range(n)]
    found = np.zeros((n, n))
    for i, equation in enumerate(equations.equations):
        for j in range(n):
            unit = {x: int(k == j) for k, x in enumerate(v)}
            found[i, j] = float(equation.lhs.xreplace(unit).evalf(17, subs=values))
    return found


def check(fabric, n, technology):
    program = program_of(fabric, n, technology)
    equations = derive_equations(program)
    assert equations.proved
    assert equations.difference < 1e-9
    assert len(equations.equations) == len(equations.law) == len(equations.cells) == n
    text = str(equations).splitlines()[:n]
    assert all(line.endswith(f" = I_{i + 1}") for i, line in enumerate(text))
    return program, equations


@pytest.mark.parametrize("technology", TECHNOLOGIES)
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("fabric", FABRICS)
def test_small_programs_are_proved_and_their_numbers_are_the_matrix(fabric, n, technology):
    program, equations = check(fabric, n, technology)
    for times in (0.0, 0.5, 2.0):
        if times == 0.0 and 0.0 not in program.fabric.probes:
            continue
        s = times / program.tau
        # An infinite gain is 1e8 in the netlist and in the law of `admittance`, and infinite in `matrix`.
        found = numbers(equations, program, s, program.technology.opamp.gain if times == 0.0 else None)
        wanted = np.real(dense(program.fabric.admittance(program.parts, program.technology, s)))
        if times == 0.0:
            found = found / (program.scaling * program.conductance_unit)[:, None] / program.scaling
            wanted = dense(program.matrix)
        assert np.abs(found - wanted).max() < 1e-9 * np.abs(wanted).max()


@pytest.mark.slow
@pytest.mark.parametrize("fabric", FABRICS)
def test_six_unknowns_are_proved(fabric):
    check(fabric, 6, "breadboard")


@pytest.mark.parametrize("fabric", FABRICS)
def test_netlist_and_law_agree_exactly_at_random_rational_points(fabric):
    _, equations = check(fabric, 2, "slow")
    rng = np.random.default_rng(0)
    for found, law in zip(equations.equations, equations.law, strict=True):
        symbols = sorted(found.lhs.free_symbols | law.lhs.free_symbols, key=str)
        for _ in range(3):
            point = {x: sympy.Integer(int(rng.integers(2, 1000))) for x in symbols}
            assert found.lhs.xreplace(point) == law.lhs.xreplace(point) != 0
        assert found.rhs == law.rhs


def test_kronecker_products_are_proved():
    system = kronecker(A=dominant([-1]), B=dominant([1, -1, 0]), damping=0.1)
    assert derive_equations(compile_system(system, "factored", built_for("factored", "breadboard"))).proved


def test_rc_of_two_is_what_a_hand_derives():
    equations = derive_equations(compile_matrix([[2.0, -1.0], [-1.0, 3.0]], "rc"))
    assert str(equations) == (
        "C_1 s v_1 + (1/R_12 + 1/RG_1) v_1 - v_2/R_12 = I_1\nC_2 s v_2 + (1/R_12 + 1/RG_2) v_2 - v_1/R_12 = I_2"
    )
    s, c, r, grounded, v, u, i = sympy.symbols("s C_1 R_12 RG_1 v_1 v_2 I_1")
    # Kirchhoff at p1: what the source delivers leaves through the capacitor, the resistor to ground and the coupling.
    assert sympy.expand(equations.equations[0].lhs - (s * c * v + v / grounded + (v - u) / r)) == 0
    assert equations.equations[0].rhs == i
    assert equations.symbols[c] == (pytest.approx(1e-9), "F")
    assert {quantity.unit for quantity in equations.symbols.values()} == {"F", "ohm"}


def test_crossbar_of_two_is_what_a_hand_derives():
    technology = preset("ideal").replace(opamp__gain=1e3, opamp__gbw=1e7)
    equations = derive_equations(compile_matrix([[2.0, -1.0], [-1.0, 3.0]], "crossbar", technology))
    assert str(equations) == (
        "C_1 s (1 + eps) v_1 + eps (1/R_11 + 1/R_12 + 1/RB_1) v_1 + v_1/R_11 - v_2/R_12 = I_1\n"
        "C_2 s (1 + eps) v_2 + eps (1/R_21 + 1/R_22 + 1/RB_2) v_2 - v_1/R_21 + v_2/R_22 = I_2\n"
        "with\n"
        "eps = 1/A_0 + s/omega_t"
    )
    s, c, a, b, drive, gain, w, v, u = sympy.symbols("s C_1 R_11 R_12 RB_1 A_0 omega_t v_1 v_2")
    # The differential input e = ep - em makes v = -A e, so e = -eps v. Kirchhoff at ep, less that at em, with the drive crossed over:
    # (e - v) s C + (e - v) / R11 + (e + u) / R12 + (e + RB I) / RB = 0.
    e = -(1 / gain + s / w) * v
    delivered = -((e - v) * s * c + (e - v) / a + (e + u) / b + e / drive)
    assert sympy.expand(equations.equations[0].lhs - delivered) == 0
    assert equations.symbols[gain] == (1e3, "V/V")
    assert equations.symbols[w] == (pytest.approx(2 * np.pi * 1e7), "rad/s")


def test_the_inverter_of_one_rail_and_the_flux_of_an_oscillator_are_named():
    text = str(derive_equations(compile_matrix([[2.0, -1.0], [-1.0, 3.0]], "crossbar_single", "breadboard")))
    assert "v_1/R_11 + n_2/R_12 = I_1" in text
    assert "(1 + 2 eps) n_2 = -v_2" in text
    text = str(derive_equations(compile_matrix([[2.0, -1.0], [-1.0, 3.0]], "lc")))
    assert text.splitlines()[0] == "C_1 s^2 phi_1 + s phi_1/RD_1 + (1/L_12 + 1/LG_1) phi_1 - phi_2/L_12 = I_1"
    assert "phi_1 = LG_1 v_1/R_P" in text


def test_a_rounded_input_resistor_stays_in_the_drive():
    program = compile_matrix([[2.0, -1.0], [-1.0, 3.0]], "crossbar", check=False)
    parts = dataclasses.replace(program.parts, drive=program.parts.drive / 1.1)
    equations = derive_equations(dataclasses.replace(program, parts=parts))
    assert str(equations).splitlines()[0].endswith("= R_0 I_1/RB_1")
    assert equations.difference < 1e-9
    assert equations.equations[0].rhs == sympy.Symbol("I_1")
    nominal, entry = sympy.symbols("R_0 RB_1")
    coupling = equations.equations[0].lhs.coeff(sympy.Symbol("v_2"))
    assert sympy.expand(coupling + entry / nominal / sympy.Symbol("R_12")) == 0


class Altered(AnalogProgram):
    """A program whose netlist has parts changed, or left out, after it was written."""

    def circuit(self, currents, state):
        netlist = super().circuit(currents, state)
        changed = Netlist(netlist.title, netlist.temperature)
        changed.add(*(new for part in netlist if (new := self.change(part)) is not None))
        return changed


def altered(program, change):
    fake = Altered(**{field.name: getattr(program, field.name) for field in dataclasses.fields(program)})
    object.__setattr__(fake, "change", change)
    return fake


@pytest.mark.parametrize("fabric", FABRICS)
def test_an_unchanged_copy_passes(fabric):
    assert derive_equations(
        altered(program_of(fabric, 3), lambda part: part)
    ).proved  # so that a change is what is seen


@pytest.mark.parametrize("technology", ["ideal", "breadboard"])
@pytest.mark.parametrize("rails", [("R1_2p",), ("R1_2p", "R1_2m")])
@pytest.mark.parametrize("fabric", ["dual_rail", "crossbar"])
def test_swapped_wires_are_rejected(fabric, rails, technology):
    swap = {"p2": "m2", "m2": "p2"}

    def change(part):
        return (
            dataclasses.replace(part, b=swap.get(part.b, part.b), a=swap.get(part.a, part.a))
            if part.name in rails
            else part
        )

    with pytest.raises(VerificationError, match=r"cell [12], coefficient of v_[12]: netlist less law is -?[12]/R_12;"):
        derive_equations(altered(program_of(fabric, 3, technology), change))


@pytest.mark.parametrize(
    ("fabric", "name"), [("crossbar", "E1p"), ("crossbar_single", "E2"), ("factored", "ES1_1p"), ("oscillator", "Ev1p")]
)
def test_a_changed_polarity_of_an_amplifier_is_rejected(fabric, name):
    def change(part):
        return dataclasses.replace(part, gain=-part.gain) if part.name == name else part

    for technology in ("ideal", "breadboard"):
        with pytest.raises(VerificationError, match=r"differs from its law, cell \d"):
            derive_equations(altered(program_of(fabric, 2, technology), change))


MISSING = [
    ("rc", "R1_2"),
    ("rc", "RG2"),
    ("dual_rail", "R1_2m"),
    ("dual_rail", "C3p"),
    ("crossbar", "R1_2p"),
    ("crossbar", "RB3m"),
    ("crossbar_single", "R2_1"),
    ("factored", "R1_2_1p"),
    ("lc", "L1_2p"),
    ("lc", "RD1m"),
    ("spu", "C1_2"),
    ("spu", "CG1"),
    ("oscillator", "RD2p"),
    ("oscillator", "RL1m"),
]


@pytest.mark.parametrize(("fabric", "name"), MISSING)
def test_a_missing_part_is_rejected(fabric, name):
    program = program_of(fabric, 3, "breadboard")
    assert name in program.netlist()
    with pytest.raises(VerificationError, match=r"cell \d, coefficient of v_\d: netlist less law is"):
        derive_equations(altered(program, lambda part: None if part.name == name else part))


@pytest.mark.slow
def test_a_circuit_whose_rails_do_not_part_is_given_up_in_bounded_time():
    with pytest.raises(VerificationError, match="does not drop out"):
        derive_equations(altered(program_of("dual_rail", 6), lambda part: None if part.name == "R1_2p" else part))


@pytest.mark.parametrize("fabric", ["dual_rail", "crossbar"])
@pytest.mark.parametrize(("name", "field"), [("R1_2p", "resistance"), ("C1m", "capacitance")])
def test_a_changed_value_is_rejected(fabric, name, field):
    def change(part):
        return dataclasses.replace(part, **{field: getattr(part, field) * 1.0001}) if part.name == name else part

    with pytest.raises(VerificationError, match="cell 1"):
        derive_equations(altered(program_of(fabric, 2), change))


def test_an_amplifier_of_another_gain_is_rejected():
    def change(part):
        return dataclasses.replace(part, transconductance=part.transconductance * 1.1) if part.name == "G2" else part

    with pytest.raises(VerificationError, match="cell 2"):
        derive_equations(altered(program_of("crossbar", 2, "slow"), change))


def test_parts_of_another_matrix_are_rejected():
    program = program_of("crossbar", 2)
    polarity = program.parts.polarity.copy()
    polarity[0, 1] *= -1
    with pytest.raises(VerificationError, match=r"cell 1, coefficient of v_2: netlist less law is -?2/R_12"):
        derive_equations(dataclasses.replace(program, parts=dataclasses.replace(program.parts, polarity=polarity)))


@pytest.mark.parametrize("fabric", FABRICS)
def test_latex_is_balanced_and_has_a_line_for_each_equation(fabric):
    equations = derive_equations(program_of(fabric, 3, "breadboard"))
    text = equations.latex()
    depth = 0
    for sign in re.sub(r"\\[{}]", "", text):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    assert text.count(r"\left(") == text.count(r"\right)")
    assert text.startswith("\\begin{aligned}\n")
    assert text.endswith("\n\\end{aligned}")
    lines = text.splitlines()[1:-1]
    assert len(lines) == len(equations.cells) + len(equations.definitions)
    assert all(line.count(" &= ") == 1 for line in lines)
    assert all(line.endswith(r" \\") for line in lines[:-1])
    assert "_1 " not in text
    assert re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", re.sub(r"\\[a-z]+(\{aligned\})?", "", text)) == []


def test_seven_unknowns_are_rejected():
    with pytest.raises(InputError, match=r"at most 6 .* has 7 unknowns; .*verify"):
        derive_equations(program_of("rc", 7))
    wide = low_rank(J=np.random.default_rng(0).standard_normal((7, 2)), H=None, damping=0.5)
    with pytest.raises(InputError, match="factor of 7 rows"):
        derive_equations(compile_system(wide, "factored"))


@pytest.mark.parametrize(("fabric", "why"), [("dual_rail", "rails differ"), ("crossbar_single", "offsets")])
def test_a_die_is_rejected(fabric, why):
    program = program_of(fabric, 2, "breadboard")
    with pytest.raises(InputError, match=rf"{why}.*before .on\(die\)"):
        derive_equations(program.on(Die(program.technology, 1)))


@given(
    st.lists(st.integers(-1, 1), min_size=6, max_size=6), st.sampled_from(FABRICS), st.sampled_from(list(TECHNOLOGIES))
)
@settings(max_examples=30)
def test_any_pattern_of_signs_and_zeros_is_proved(signs, fabric, technology):
    technology = built_for(fabric, TECHNOLOGIES[technology])
    if fabric in NEGATIVE_ONLY:
        signs = [-abs(sign) for sign in signs]
    if fabric == "factored":
        system = low_rank(J=np.sign(dominant(signs))[:3], H=None, damping=0.5)
        program = compile_system(system, "factored", technology)
    else:
        program = compile_matrix(dominant(signs), fabric, technology)
    equations = derive_equations(program)
    assert equations.proved
    assert equations.difference < 1e-9
    if fabric == "factored":
        return  # entries of a product that cancel only for these values, and for infinite gain
    for i, equation in enumerate(equations.equations):
        held = {str(symbol) for symbol in equation.lhs.free_symbols if str(symbol).startswith("v_")}
        assert held == {f"v_{j + 1}" for j in range(program.size) if dense(program.target)[i, j] != 0}


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-2, 2), st.integers(-2, 2)), min_size=2, max_size=5))
def test_an_inverse_is_known_by_its_polynomial_up_to_a_monomial(terms):
    x, s = sympy.symbols("x s")
    polynomial = sympy.expand(sum(n * x**a * s**b for n, a, b in terms))
    if polynomial == 0:
        return
    inverses = Inverses()
    first = inverses.of(polynomial)
    again = inverses.of(sympy.expand(-3 * polynomial * x**2 / s))
    assert len(inverses.known) <= 1
    assert sympy.expand(first / again + 3 * x**2 / s) == 0
    (written,) = inverses.written_out([first])
    point = {x: sympy.Rational(7, 5), s: sympy.Rational(11, 3)}
    if (value := polynomial.xreplace(point)) != 0:
        assert written.xreplace(point) * value == 1


def test_sympy_is_loaded_by_the_call_only():
    code = "import sys, thermograd.compiler.analysis.equations; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
