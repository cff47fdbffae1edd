"""Small circuits with their matrices, written down here independently of the code under test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermograd.circuits.netlist.elements import (
    CCVS,
    VCCS,
    VCVS,
    Capacitor,
    CurrentSource,
    Inductor,
    Resistor,
    VoltageSource,
)
from thermograd.circuits.netlist.netlist import Netlist


@dataclass
class RC:
    """C v' = -G v + I, nodes n00, n01, ..."""

    netlist: Netlist
    G: np.ndarray
    C: np.ndarray
    current: np.ndarray

    @property
    def nodes(self):
        return [f"n{i:02d}" for i in range(len(self.current))]

    @property
    def rates(self):
        root = np.sqrt(self.C)
        return np.linalg.eigvalsh(self.G / np.outer(root, root))


def random_rc(n, seed, *, volts=1.0, spread=0.5, grounded=1.0, coupled=1.0):
    """Fully connected random RC network, node voltages of about `volts`, conductances log-normal with `spread`."""
    rng = np.random.default_rng(seed)
    netlist = Netlist(f"random RC {n}")
    G, C = np.zeros((n, n)), 1e-9 * np.exp(spread * rng.standard_normal(n) / 2)
    current = volts * 1e-3 * rng.standard_normal(n)
    for i in range(n):
        g = grounded * 1e-3 * np.exp(spread * rng.standard_normal())
        netlist.add(Resistor(f"R{i}", f"n{i:02d}", "0", 1 / g))
        netlist.add(Capacitor(f"C{i}", f"n{i:02d}", "0", C[i]))
        netlist.add(CurrentSource(f"I{i}", "0", f"n{i:02d}", current[i]))
        G[i, i] += g
        for j in range(i):
            g = coupled * 1e-3 / n * np.exp(spread * rng.standard_normal())
            netlist.add(Resistor(f"R{i}_{j}", f"n{i:02d}", f"n{j:02d}", 1 / g))
            G[[i, j], [i, j]] += g
            G[[i, j], [j, i]] -= g
    return RC(netlist, G, C, current)


R0, C0 = 1e3, 1e-9


def integrators(A, b, *, gain=1e9, gbw=None, volts=1.0):
    """Single-ended op-amp integrators that solve A x = b: outputs x0, x1, ... = volts * A^-1 b.

    With `gbw` (Hz) an op-amp is a transconductance into R and C, then a buffer; without, it is an E source.
    Negative entries of A take the output of a unity inverter.
    """
    netlist = Netlist(f"integrators {len(b)}")
    for i, row in enumerate(A):
        if gbw is None:
            netlist.add(VCVS(f"E{i}", f"x{i}", "0", "0", f"s{i}", gain))
        else:
            gm = 1e-3
            netlist.add(
                VCCS(f"G{i}", "0", f"p{i}", "0", f"s{i}", gm),
                Resistor(f"Rp{i}", f"p{i}", "0", gain / gm, noisy=False),
                Capacitor(f"Cp{i}", f"p{i}", "0", gm / (2 * np.pi * gbw)),
                VCVS(f"E{i}", f"x{i}", "0", f"p{i}", "0", 1.0),
            )
        netlist.add(Capacitor(f"C{i}", f"s{i}", f"x{i}", C0))
        netlist.add(CurrentSource(f"I{i}", f"s{i}", "0", volts * b[i] / R0))
        for j, a in enumerate(row):
            if a > 0:
                netlist.add(Resistor(f"R{i}_{j}", f"s{i}", f"x{j}", R0 / a))
            elif a < 0:
                netlist.add(Resistor(f"R{i}_{j}", f"s{i}", f"y{j}", -R0 / a))
    for j in range(len(b)):
        if any(row[j] < 0 for row in A):
            netlist.add(VCVS(f"En{j}", f"y{j}", "0", "0", f"x{j}", 1.0))
    return netlist


def random_spd(n, seed):
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((n, n))
    return M @ M.T / n + 0.3 * np.eye(n), rng.standard_normal(n)


def differential_array(n, seed=0, *, gain=1e5, gbw=1e7):
    """Fully differential dense op-amp array of n unknowns: 2 n^2 coupling resistors, 7 nodes an op-amp."""
    A, b = random_spd(n, seed)
    A /= np.abs(A).max()
    netlist = Netlist(f"differential array {n}")
    gm = 1e-3
    for i in range(n):
        netlist.add(
            VCCS(f"G{i}", "0", f"q{i}", f"sm{i}", f"sp{i}", gm),
            Resistor(f"Rq{i}", f"q{i}", "0", gain / gm),
            Capacitor(f"Cq{i}", f"q{i}", "0", gm / (2 * np.pi * gbw)),
            VCVS(f"Ep{i}", f"op{i}", "0", f"q{i}", "0", 0.5),
            VCVS(f"Em{i}", f"om{i}", "0", "0", f"q{i}", 0.5),
            Resistor(f"Rop{i}", f"op{i}", f"xp{i}", 1.0),
            Resistor(f"Rom{i}", f"om{i}", f"xm{i}", 1.0),
            Capacitor(f"Cp{i}", f"sp{i}", f"xp{i}", C0),
            Capacitor(f"Cm{i}", f"sm{i}", f"xm{i}", C0),
            CurrentSource(f"Ip{i}", f"sp{i}", "0", 1e-6 * b[i]),
            CurrentSource(f"Im{i}", "0", f"sm{i}", 1e-6 * b[i]),
        )
        for j in range(n):
            p, m = ("p", "m") if A[i, j] > 0 else ("m", "p")
            r = R0 / abs(A[i, j])
            netlist.add(
                Resistor(f"Rp{i}_{j}", f"sp{i}", f"x{p}{j}", r), Resistor(f"Rm{i}_{j}", f"sm{i}", f"x{m}{j}", r)
            )
    return netlist


def one_rc(*, ac=0.0, initial=None):
    """1 V through 1 kOhm onto 1 nF at node out."""
    netlist = Netlist("one RC")
    netlist.add(
        VoltageSource("V1", "in", "0", 1.0, ac),
        Resistor("R1", "in", "out", 1e3),
        Capacitor("C1", "out", "0", 1e-9, initial),
    )
    return netlist


def mesh(quality, n=4, seed=3):
    """Ideal inductors between all nodes and to ground, C and R = Q sqrt(L/C) at each; node x reads the flux by a probe.

    Returns the netlist, Gamma (1/H), C (F) and the factors that turn a probe's volts (the leg's current) into Wb.
    """
    rng = np.random.default_rng(seed)
    netlist, gamma = Netlist("mesh"), np.zeros((n, n))
    capacitance, legs = 1e-9 * rng.uniform(0.7, 1.4, n), 1e-3 * rng.uniform(0.7, 1.4, n)
    for i in range(n):
        netlist.add(
            VoltageSource(f"V{i}", f"n{i}", f"s{i}", 0.0),
            Inductor(f"L{i}", f"s{i}", "0", legs[i]),
            CCVS(f"H{i}", f"x{i}", "0", f"V{i}", 1.0),
            Capacitor(f"C{i}", f"n{i}", "0", capacitance[i]),
            Resistor(f"R{i}", f"n{i}", "0", quality * 1e3),
        )
        gamma[i, i] += 1 / legs[i]
        for j in range(i):
            henry = 2e-3 * rng.uniform(0.7, 1.4)
            netlist.add(Inductor(f"L{i}_{j}", f"n{i}", f"n{j}", henry))
            gamma[[i, j], [i, j]] += 1 / henry
            gamma[[i, j], [j, i]] -= 1 / henry
    return netlist, gamma, capacitance, legs


def silenced(netlist):
    """The same circuit without Johnson noise."""
    quiet = Netlist("silent")
    for e in netlist:
        quiet.add(Resistor(e.name, e.a, e.b, e.resistance, noisy=False) if isinstance(e, Resistor) else e)
    return quiet


def heated(netlist, kelvin):
    """The same circuit with resistors of their own temperature, by name."""
    hot = Netlist("heated")
    for e in netlist:
        hot.add(Resistor(e.name, e.a, e.b, e.resistance, kelvin[e.name]) if e.name in kelvin else e)
    return hot
