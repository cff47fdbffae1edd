"""Systems that the tests of what is handed over share, and an independent reading of a KiCad file as a circuit."""

from __future__ import annotations

import re

import numpy as np

SUFFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12}
#: From the data sheets of TL072 and TL074: (output, inverting, non-inverting) pins, then V+ and V-.
PINS = {"TL072": ([(1, 2, 3), (7, 6, 5)], 8, 4), "TL074": ([(1, 2, 3), (7, 6, 5), (8, 9, 10), (14, 13, 12)], 4, 11)}


def system(n, seed=0):
    """Entries of both signs, condition 5."""
    generator = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(generator.standard_normal((n, n)))
    matrix = (vectors * np.geomspace(0.2, 1.0, n)) @ vectors.T
    return (matrix + matrix.T) / 2, generator.standard_normal(n)


def laplacian(n, seed=0):
    """An M-matrix whose diagonal differs, so that passive cells are scaled."""
    generator = np.random.default_rng(seed)
    joined = np.triu(generator.uniform(0, 1, (n, n)), 1)
    joined = joined + joined.T
    return np.diag(joined.sum(axis=1) + generator.uniform(0.05, 3, n)) - joined, generator.standard_normal(n)


def number(value):
    """4.99k as a float."""
    digits, suffix = re.fullmatch(r"([0-9.]+)([a-zA-Z]?)", value).groups()
    return float(digits) * SUFFIXES[suffix]


def solved(parsed, driven, packages=PINS):
    """Volts of each net of a parsed KiCad netlist with ideal op-amps, by nodal analysis with a nullor for each.

    Args:
        parsed: what kinparse returns. driven: net -> V of the sources. packages: pins of the op-amps.
    """
    nets = {(pin.ref, str(pin.num)): net.name for net in parsed.nets for pin in net.pins}
    names = [net.name for net in parsed.nets if net.name not in ("GND", "VCC", "VEE")]
    index = {name: k for k, name in enumerate(names)}
    amplifiers = []
    for part in parsed.parts:
        if part.value in packages:
            units, upper, lower = packages[part.value]
            assert nets[part.ref, str(upper)] == "VCC"
            assert nets[part.ref, str(lower)] == "VEE"
            amplifiers += [tuple(nets[part.ref, str(pin)] for pin in unit) for unit in units]
    size = len(names) + len(amplifiers) + len(driven)
    matrix, right = np.zeros((size, size)), np.zeros(size)

    def at(net):
        return index.get(net, -1)

    for part in parsed.parts:
        if not part.ref.startswith("R"):
            continue
        a, b, g = at(nets[part.ref, "1"]), at(nets[part.ref, "2"]), 1 / number(part.value)
        for one, other in ((a, b), (b, a)):
            if one >= 0:
                matrix[one, one] += g
                if other >= 0:
                    matrix[one, other] -= g
    row = len(names)
    for out, minus, plus in amplifiers:
        matrix[at(out), row] += 1.0
        for node, sign in ((at(plus), 1.0), (at(minus), -1.0)):
            if node >= 0:
                matrix[row, node] += sign
        row += 1
    for net, volts in driven.items():
        matrix[at(net), row] = matrix[row, at(net)] = 1.0
        right[row] = volts
        row += 1
    return dict(zip(names, np.linalg.solve(matrix, right), strict=False))
