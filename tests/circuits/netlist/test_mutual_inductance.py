"""Coupled inductors: a transformer's law, its eigenvalues, and couplings that cannot be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermograd.circuits.errors import InputError, NetlistError
from thermograd.circuits.linear.descriptor import describe_netlist
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.netlist.mutual_inductance import MutualInductance
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.spice.read import parse_spice

from ..ngspice_command import needs_ngspice


def transformer(coupling=0.98, load="Rl s 0 1k"):
    return parse_spice(f"t\nV1 a 0 1\nR1 a p 50\nL1 p 0 1m ic=2m\nL2 s 0 4m\nK1 l1 L2 {coupling}\n{load}\n.end")


def test_the_ratio_of_a_transformer_is_that_of_its_turns():
    """Unity coupling: v2/v1 = sqrt(L2/L1), at every frequency; and R2 in place of the load is R2 L1/L2 at the primary."""
    law = describe_netlist(transformer(1.0))
    s = 2j * np.pi * 1e6
    z = np.linalg.solve(law.at(s).toarray(), law.input.toarray()[:, 0])
    assert z[law.index["s"]] / z[law.index["p"]] == pytest.approx(2.0, rel=1e-12)
    parallel = 1 / (1 / (s * 1e-3) + 4 / 1e3)
    assert z[law.index["p"]] == pytest.approx(parallel / (50 + parallel), rel=1e-12)
    weak = describe_netlist(transformer(-0.5))
    z = np.linalg.solve(weak.at(s).toarray(), weak.input.toarray()[:, 0])
    assert (z[weak.index["s"]] / z[weak.index["p"]]).real < 0


@pytest.mark.parametrize("coupling", [0.3, 0.98, 1.0, -0.7])
def test_coupled_inductors_have_the_eigenvalues_of_their_matrix(coupling):
    """-L^-1 R with L = [[L1, M], [M, L2]]; unity coupling leaves one mode, -1 / (L1/R1 + L2/R2)."""
    m = coupling * 2e-3
    inductance, resistance = np.array([[1e-3, m], [m, 4e-3]]), np.diag([50.0, 1e3])
    space = state_space(transformer(coupling))
    if coupling == 1.0:
        expected = [-1 / (1e-3 / 50 + 4e-3 / 1e3)]
    else:
        expected = sorted(np.linalg.eigvals(-np.linalg.inv(inductance) @ resistance).real, reverse=True)
    np.testing.assert_allclose(space.eigenvalues.real, expected, rtol=1e-9)


@needs_ngspice
@pytest.mark.parametrize("load", ["Rl s 0 1k", "Rl s 0 1k\nL3 t 0 2m\nRt t 0 100\nK2 L3 L2 0.5\nK3 L1 L3 -0.4"])
@pytest.mark.parametrize("coupling", [0.98, 1.0, -0.7])
def test_state_space_and_ngspice_agree_on_a_transformer(coupling, load):
    if coupling > 0:  # what couples to one of two that are nearly one couples to both
        load = load.replace("-0.4", "0.5")
    netlist = transformer(coupling, load)
    result = run(netlist, Transient(1e-4, samples=41))
    space = state_space(netlist)
    law = space.transition(result.time[1:])
    for column, node in enumerate(space.outputs):
        np.testing.assert_allclose(result.voltages[node][1:], law[:, column], atol=3e-5)
    assert np.abs(result.voltages["s"]).max() > 1e-2


def test_couplings_that_cannot_be_are_rejected():
    base = "t\nV1 a 0 1\nL1 a p 1m\nL2 p q 1m\nL3 q 0 1m\nR1 p 0 1\nR2 q 0 1\n"
    for cards, message in (
        ("K1 L1 L9 0.5", "no such inductor"),
        ("K1 L1 L2 0.5\nK2 l2 l1 0.5", "again"),
        ("K1 L1 L2 0.9\nK2 L2 L3 0.9\nK3 L1 L3 -0.9", "contradict each other"),
    ):
        netlist = parse_spice(base + cards)
        for judge in (netlist.check, lambda n=netlist: state_space(n), lambda n=netlist: describe_netlist(n)):
            with pytest.raises(NetlistError, match=message):
                judge()
    for value in (0.0, 1.1, math.nan, "k"):
        with pytest.raises(InputError, match="K1: coupling"):
            MutualInductance("K1", "L1", "L2", value)
    with pytest.raises(InputError, match="to itself"):
        MutualInductance("K1", "L1", "l1", 0.5)
    with pytest.raises(InputError, match="an inductor"):
        MutualInductance("K1", "L1", "R1", 0.5)
