"""A slow, independent simulator: reads a netlist's text and solves its operating point by nodal analysis.

It shares no code and no formula with the package: it sees the text alone, as another SPICE would.
"""

from __future__ import annotations

import numpy as np


def operating_point(text: str) -> dict[str, float]:
    """Node voltages (V) of the direct-current solution; capacitors are open."""
    cards = [line.split() for line in text.splitlines() if line and line[0] not in "*."]
    nodes = sorted({node for card in cards for node in _nodes(card)} - {"0"})
    fixing = [card for card in cards if card[0][0].upper() in "VE"]
    index = {node: k for k, node in enumerate(nodes)}
    size = len(nodes) + len(fixing)
    a, rhs = np.zeros((size, size)), np.zeros(size)

    def add(row: str | int, column: str | int, value: float) -> None:
        if "0" not in (row, column):
            a[index.get(row, row), index.get(column, column)] += value

    for card in cards:
        kind, plus, minus = card[0][0].upper(), card[1], card[2]
        if kind == "R":
            for one, other in ((plus, minus), (minus, plus)):
                add(one, one, 1.0 / float(card[3]))
                add(one, other, -1.0 / float(card[3]))
        elif kind == "I":
            for node, sign in ((plus, -1.0), (minus, 1.0)):
                if node != "0":
                    rhs[index[node]] += sign * _dc(card)
        elif kind == "G":
            for node, sign in ((plus, 1.0), (minus, -1.0)):
                add(node, card[3], sign * float(card[5]))
                add(node, card[4], -sign * float(card[5]))
        elif kind not in "VEC":
            raise AssertionError(f"the oracle does not know the card {' '.join(card)!r}")
    for k, card in enumerate(fixing, start=len(nodes)):
        for node, sign in ((card[1], 1.0), (card[2], -1.0)):
            add(k, node, sign)
            add(node, k, sign)
        if card[0][0].upper() == "V":
            rhs[k] = _dc(card)
        else:
            add(k, card[3], -float(card[5]))
            add(k, card[4], float(card[5]))
    return dict(zip(nodes, _refined(a, rhs)[: len(nodes)].tolist(), strict=True))


def _nodes(card: list[str]) -> list[str]:
    return card[1:5] if card[0][0].upper() in "EG" else card[1:3]


def _dc(card: list[str]) -> float:
    return float(card[card.index("dc") + 1])


def _refined(a: np.ndarray, rhs: np.ndarray) -> np.ndarray:
    """Solution with two steps of refinement, residuals in extended precision: gains of 1e8 meet parts of 1 mS."""
    rows = 1.0 / np.abs(a).max(axis=1)
    scaled, wide = a * rows[:, None], a.astype(np.longdouble)
    x = np.linalg.solve(scaled, rhs * rows).astype(np.longdouble)
    for _ in range(2):
        left = (rhs - (wide * x).sum(axis=1)) * rows
        x = x + np.linalg.solve(scaled, left.astype(float))
    return x.astype(float)


def settled_flux_readings(text: str) -> dict[str, float]:
    """Readings (V) of an oscillator netlist's flux probes once it has come to rest from zero flux: Gamma phi = I.

    Every inductor holds the flux difference of its ends over its inductance; a probe gives its transresistance times the current
    of the inductor behind its 0 V source.
    """
    cards = [line.split() for line in text.splitlines() if line and line[0] not in "*."]
    same = {
        card[2]: card[1] for card in cards if card[0][0] == "V"
    }  # the node behind a 0 V source is the one before it
    nodes = sorted({same.get(node, node) for card in cards if card[0][0] == "L" for node in card[1:3]} - {"0"})
    index = {node: k for k, node in enumerate(nodes)}
    gamma, current = np.zeros((len(nodes), len(nodes))), np.zeros(len(nodes))
    for card in cards:
        ends = [index.get(same.get(node, node)) for node in card[1:3]]
        if card[0][0] == "L":
            for one, other in (ends, ends[::-1]):
                if one is not None:
                    gamma[one, one] += 1 / float(card[3])
                    if other is not None:
                        gamma[one, other] -= 1 / float(card[3])
        elif card[0][0] == "I":
            for place, sign in zip(ends, (-1.0, 1.0), strict=True):
                if place is not None:
                    current[place] += sign * _dc(card)
    flux = np.linalg.solve(gamma, current)
    grounded = {card[1]: float(card[3]) for card in cards if card[0].startswith("LG")}
    sources = {card[0]: card for card in cards if card[0][0] == "V"}
    readings = {}
    for card in cards:
        if card[0][0] == "H":
            source = sources[card[3]]
            readings[card[1]] = float(card[4]) * flux[index[source[1]]] / grounded[source[2]]
    return readings


def maxwell_matrix(text: str, nodes: list[str]) -> np.ndarray:
    """The capacitance matrix (F) of the named nodes."""
    index = {node: k for k, node in enumerate(nodes)}
    matrix = np.zeros((len(nodes), len(nodes)))
    for line in text.splitlines():
        if line.startswith("C"):
            _, one, other, value = line.split()[:4]
            for a, b in ((one, other), (other, one)):
                if a in index:
                    matrix[index[a], index[a]] += float(value)
                    if b in index:
                        matrix[index[a], index[b]] -= float(value)
    return matrix
