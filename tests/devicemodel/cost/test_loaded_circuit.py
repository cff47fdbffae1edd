"""Settling time, heat and loads of compiled circuits: against ngspice, and by hand for one cell."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.devicemodel.cost.compiled import compiled_array
from thermograd.devicemodel.cost.loaded_circuit import LoadedCircuit

from ...systems import low_rank, passive, spd

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks" / "devicemodel"))  # scripts, not a package

from cost_against_spice import TECHNOLOGIES, compared

INTEGRATED = preset("integrated").replace(resistors__bits=None, resistors__tolerance=0.0)


@pytest.mark.parametrize("name", TECHNOLOGIES)
def test_settling_and_heat_are_those_of_ngspice(name: str) -> None:
    """The slice of benchmarks/devicemodel/cost_against_spice.py; the control is what was stated before: 50 RC and half of the range."""
    one = compared(name, TECHNOLOGIES[name], 8)
    assert max(map(abs, one.errors)) < 0.01
    assert min(map(abs, one.old_errors)) > 1.0


def test_one_cell_by_hand() -> None:
    """v = -V_b (1 - exp(-t / tau')) for A = 1: tau' = [C (1 + eps) + L / w] / [g + L / A0], heat 2 g [(v/2)^2 + (V_b/2)^2] over time."""
    technology = INTEGRATED.replace(opamp__second_pole=math.inf, opamp__gain=1e8, opamp__gbw=1e7)
    program = compile_matrix([[1.0]], "crossbar", technology, b=[1.0])
    circuit, g, farad = LoadedCircuit(program, [1.0]), 1e-4, 1e-11
    w, volts = 2 * math.pi * 1e7, 0.5
    # Roots of s^2 C / w + s (C + L / w) + g, L = 2 g.
    fast, slow = sorted(np.roots([farad / w, farad + 2 * g / w, g]).real)
    assert circuit.slowest == pytest.approx(-1 / slow, rel=1e-6)
    t = circuit.settling(0.01)
    # The capacitor has no charge at first, and the amplifier's output is zero: v(0) = v'(0) = 0.
    error = (fast * math.exp(slow * t) - slow * math.exp(fast * t)) / (fast - slow)
    assert error == pytest.approx(0.01, rel=1e-3)
    rest = circuit.at_rest()
    assert rest.heat == pytest.approx(g * volts**2, rel=1e-6)
    assert np.abs(rest.currents) == pytest.approx(g * volts / 2, rel=1e-6)
    times = np.linspace(0, 20 / -slow, 20001)
    v = volts * (1 - (fast * np.exp(slow * times) - slow * np.exp(fast * times)) / (fast - slow))
    rate = volts * fast * slow * (np.exp(fast * times) - np.exp(slow * times)) / (fast - slow)
    inside = -rate / w  # the summing node, by which both resistors see more or less
    power = g / 2 * ((v - inside) ** 2 + (volts + inside) ** 2)
    assert circuit.heat(float(times[-1])) == pytest.approx(float(np.trapezoid(power, times)), rel=1e-4)


def test_slower_amplifiers_take_longer_whatever_rc_is() -> None:
    a = spd(4, 2.0, seed=1)
    fast, slow = (compile_matrix(a, "crossbar", INTEGRATED.replace(opamp__gbw=hertz)) for hertz in (5e8, 3e6))
    assert fast.tau == slow.tau
    assert compiled_array(slow).settling() > 1.9 * compiled_array(fast).settling()
    assert compiled_array(fast).settling() < 0.1 * 50 * fast.tau
    assert compiled_array(slow, duration=50.0).settling() == compiled_array(slow).settling()


@pytest.mark.parametrize("fabric", ["rc", "dual_rail"])
def test_a_passive_network_settles_as_its_slowest_mode(fabric: str) -> None:
    a = passive(5, 0.3, seed=2)
    a = np.where(np.eye(5) > 0, a, -np.abs(a))
    program = compile_matrix(a, fabric, "ideal")
    circuit = LoadedCircuit(program)
    assert circuit.slowest == pytest.approx(program.settling_time, rel=1e-6)
    # |exp(-A t)| = exp(-lambda t), over all b.
    assert circuit.settling(0.01) == pytest.approx(math.log(100) * program.settling_time, rel=1e-3)
    driven = LoadedCircuit(program, np.ones(5))
    assert 0.3 * circuit.settling(0.01) < driven.settling(0.01) < 1.3 * circuit.settling(0.01)
    assert driven.at_rest().volts.size == 0


def test_every_b_settles_in_the_time_that_is_stated_for_all() -> None:
    program = compile_matrix(spd(5, 20.0, seed=3), "crossbar", INTEGRATED)
    longest = LoadedCircuit(program).settling(0.03)
    found = [LoadedCircuit(program, b).settling(0.03) for b in np.random.default_rng(0).standard_normal((20, 5))]
    # The slowest eigenvector is the worst of all.
    _, vectors = np.linalg.eigh(program.matrix)
    found.append(LoadedCircuit(program, vectors[:, 0]).settling(0.03))
    assert max(found) <= longest * 1.0001
    assert max(found) == pytest.approx(longest, rel=1e-3)
    assert min(found) < 0.9 * longest


def test_drive_loss_is_what_the_supplies_give_beyond_the_heat() -> None:
    """V_s |i| - v i of both outputs of one cell; nothing where no supply is stated."""
    program = compile_matrix([[1.0]], "crossbar", INTEGRATED, b=[1.0])
    volts, amperes = 0.25, 1e-4 * 0.25
    assert compiled_array(program, [1.0]).drive_loss == pytest.approx(2 * (0.9 - volts) * amperes, rel=1e-2)
    silent = compile_matrix([[1.0]], "crossbar", INTEGRATED.replace(opamp__supply=0.0), b=[1.0])
    assert compiled_array(silent, [1.0]).drive_loss == 0
    # Without a b at most (V_s / 2)^2 of each load.
    assert compiled_array(program).drive_loss == pytest.approx(2 * 0.45**2 * 1e-4, rel=1e-6)


def test_what_an_array_cannot_do_is_said_with_a_remedy() -> None:
    a = spd(6, 5.0, seed=1)
    fine = compiled_array(compile_matrix(a, "crossbar", INTEGRATED))
    assert fine.obstacles == ()
    weak = compile_matrix(a, "crossbar", INTEGRATED.replace(opamp__output_current=1e-6), check=False)
    [why] = compiled_array(weak).obstacles
    assert "times what it can, with 1e-06 A" in why
    assert "use larger resistors (resistors.unit)" in why
    soft = compile_matrix(a, "crossbar", INTEGRATED.replace(opamp__output_resistance=1e4), check=False)
    assert "1e+04 ohm of its own" in compiled_array(soft).obstacles[0]
    # Stages far slower than the cells: the compiler would not let it pass.
    J = np.random.default_rng(24).standard_normal((8, 24))
    damping = float(np.linalg.norm(J, 2)) ** 2 / 100
    cascade = compile_system(low_rank(J, np.eye(8), damping), "factored", INTEGRATED, check=False)
    assert compiled_array(cascade).obstacles == ()
    slow = dataclasses.replace(cascade, technology=INTEGRATED.replace(opamp__gbw=2e6, opamp__second_pole=6e6))
    assert compiled_array(slow).settling() == math.inf
    assert "the circuit is unstable" in compiled_array(slow).obstacles[0]
    assert math.isnan(LoadedCircuit(slow).heat(1e-6))


def test_bad_arguments_are_named() -> None:
    program = compile_matrix(np.eye(2), "crossbar", INTEGRATED)
    with pytest.raises(InputError, match=r"b has shape \(3,\)"):
        compiled_array(program, np.ones(3))
    with pytest.raises(InputError, match=r"duration is -1\.0: give a finite number >= 0, in tau"):
        compiled_array(program, duration=-1.0)
