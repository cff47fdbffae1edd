"""What the layout of an array does to its matrix: the law of the netlists of `extraction`, which describes the geometry.

Exactly. The lines' taps are the nodes of a passive network whose terminals are the column drivers, at voltages v, and the amplifiers'
inputs, at voltages e. With a_f the taps of a family f of column lines (rails of a pair: one, single-ended: p and n), and b those of the
row lines,

    column tap   (W_f + T_f) a_f - S_f b              = v_f / R  at the first tap
    row tap      (W + sum_f T_f) b - sum_f S_f a_f    = e / R    at the last tap

W is the chain of a line's segments (R each; s c to ground at each tap), T_ij the total admittance of crosspoint (i, j) and S_ij what
couples its lines. A pair of rails at opposite voltages sees T = like + cross and S = like - cross places, a single line S = T. A closed
place is g / (1 + g R_on), an open one the leakage, and s c_x is beside either. With the taps eliminated, the currents into the amplifiers'
inputs are K(s) v - L(s) e. Amplifiers hold e = -eps v, eps = 1/A0 + s/w, so that the array obeys, as in `fabrics.crossbar`,

    [s C (1 + eps) + eps (L(s) + g_in + s C_in) + K(s)] v = I

(of oscillators, whose rows drive velocities, the bracket but K is times velocity over position: `ArrayParts.integrators`)
with full matrices K and L in place of the signed conductances and of their row sums. Rows are virtual grounds, so what an open switch
loads them with is in L and divided by A0; but what it passes on from its column is in K. In pairs of lines of opposite voltage this makes
-leakage sign(K_ij) at an entry in use, and nothing at an unused one, where the places cancel; a single-ended column without inverter
gets +leakage at its unused entries. A second slice has places, switches and capacitances of its own beside the first one's, at the same
taps, and adds to T and S: its resistors are some 2^b times as large, so that what a leakage takes off an entry in use is as much larger a
share of its codes.

To first order in R. With rows at ground, the current of line j past segment k is v_j sum_(i >= k) T_ij, so that tap i lacks
R v_j sum_i' N_ii' T_i'j. The current of row i raises its tap j by R sum_j' Q_jj' K_ij' v_j', and T_ij takes its share of that back:

    K(R) = K o [1 - R (N T + T Q)] + O(R^2),     N_ii' = min(i, i'),     Q_jj' = n + 1 - max(j, j'),     T = |K|,     o: entry by entry

and the solution moves by dx = K^-1 {K o R (N T + T Q)} x. Every entry loses the share of its place; most at the lower left, where the way
is longest. For an array of equal conductances g the mean loss is R g (n + 1)(2 n + 1) / 3, so of order n^2 R g. Random matrices of
a given condition number have off-diagonal entries of order 1 / sqrt(n) of the largest: order n^1.5; sparse ones: order n. A loss that
all entries share is a scale of x, which a host can calibrate away; only what is left is amplified by the condition number.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import linalg as sparse_linalg

from ...circuits.amplifiers.models import IDEAL_GAIN
from ...circuits.linear.statespace import state_space
from ...circuits.technology.technology import Switches
from ..fabrics.array import ArrayParts
from ..matrices import relative_inverse_error, scaled, solution_error
from ..program import AnalogProgram
from ..program_report import LayoutEffect
from .extraction import extracted_netlist, require_array

JUDGED = 600
"""Nodes up to which `layout_effect` works out the natural frequencies: a second's work."""


class _Columns(NamedTuple):
    """A family of column lines: T and S of their crosspoints, (n, n)."""

    total: np.ndarray
    coupled: np.ndarray


def effective_conductance(program: AnalogProgram, s: complex = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """K(s) and L(s) of the array, both (n, n) in S, complex where s is: the currents into the amplifiers' inputs are K v - L e.

    Args:
        program: of a fabric with a layout. Mismatch of the rails of a pair counts by its mean, as in `Behaviour`.
        s: Laplace variable, 1/s; 0 is rest.

    Raises:
        UnrealisableError: a fabric without a layout.
    """
    parts = require_array(program)
    coupled, load = line_conductances(program, s)
    if parts.rails == 2:
        return coupled[0], load
    opamp = program.technology.opamp
    gain = 1.0 / min(opamp.gain, IDEAL_GAIN) + s / (2 * math.pi * opamp.gbw)
    given, back = parts.inverter
    ratio = given / (back + gain * (given + back + s * program.technology.wires.input_capacitance))
    return coupled[0] - coupled[1] * ratio, load


def line_conductances(program: AnalogProgram, s: complex = 0.0) -> tuple[list[np.ndarray], np.ndarray]:
    """K_f(s) of each family f of column lines and L(s), (n, n) in S: currents into the amplifiers' inputs are sum_f K_f v_f - L e.

    Args:
        program, s: as in `effective_conductance`. Two rails are one family, whose v_f is v; with one rail the outputs of the inverters
            are the second one.

    Raises:
        UnrealisableError: a fabric without a layout.
    """
    parts, wires = require_array(program), program.technology.wires
    families = _column_families(program, parts, s)
    if wires.segment_resistance > 0.0:
        return _eliminated(families, wires.segment_resistance, s * wires.segment_capacitance)
    load = sum(family.total.sum(axis=1) for family in families) + parts.size * s * wires.segment_capacitance
    return [family.coupled for family in families], np.diag(load)


def layout_admittance(program: AnalogProgram, s: complex = 0.0) -> np.ndarray:
    """Y(s), (n, n) in A/V: the host's drive currents that hold voltages v in the extracted netlist are Y v.

    It is `Fabric.admittance` with the layout in it, and with what the input resistors and the DAC outputs make of the host's currents.

    Args:
        program, s: as in `effective_conductance`.

    Raises:
        UnrealisableError: a fabric without a layout.
    """
    parts, technology = require_array(program), program.technology
    opamp, dac = technology.opamp, technology.dac
    error = 1.0 / min(opamp.gain, IDEAL_GAIN) + s / (2 * math.pi * opamp.gbw)
    inward, given = parts.drive.mean(axis=0), parts.drive.mean(axis=0) / parts.drive_nominal
    # A DAC of resistance r and capacitance c before an input resistor of conductance g, as seen by the row: Norton's equivalent.
    passed = 1.0 / (1.0 + dac.resistance * (inward + s * dac.capacitance))
    seen = inward * (1.0 + s * dac.resistance * dac.capacitance) * passed
    coupled, load = effective_conductance(program, s)
    beside = s * technology.wires.input_capacitance
    own, transfer = parts.integrators(s, error, beside)
    held = own + error * (seen + beside)
    return np.asarray((coupled + (error * load + np.diag(held)) * transfer) / (given * passed)[:, None])


def layout_matrix(program: AnalogProgram) -> np.ndarray:
    """`AnalogProgram.emitted_matrix` of the extracted netlist, (n, n) in problem units: it settles at layout_matrix^-1 b.

    Raises:
        UnrealisableError: a fabric without a layout.
    """
    found = scaled(
        layout_admittance(program), 1.0 / (program.scaling * program.conductance_unit), 1.0 / program.readout_scale
    )
    return np.asarray(found)


def layout_effect(program: AnalogProgram, b: np.ndarray | None = None) -> LayoutEffect:
    """The effect of the layout on the solutions of a program, and for one b, (n,).

    Raises:
        UnrealisableError: a fabric without a layout.
    """
    found, netlist = layout_matrix(program), extracted_netlist(program, b)
    return LayoutEffect(
        solution_error=relative_inverse_error(program.target, found),
        error_for_b=None if b is None else solution_error(program.target, found, b),
        nodes=len(netlist.nodes),
        parts=len(netlist.elements) - len(program.netlist(b).elements),
        stable=state_space(netlist).is_stable if len(netlist.nodes) <= JUDGED else None,
    )


def _column_families(program: AnalogProgram, parts: ArrayParts, s: complex) -> list[_Columns]:
    technology, polarity = program.technology, parts.polarity
    wires = technology.wires
    beside = s * wires.crosspoint_capacitance
    like, cross = (one + beside for one in _places(parts.coupling, polarity, technology.switches))
    if parts.slices == 2:
        second = _places(parts.second, parts.second_polarity, technology.switches)
        like, cross = (first + (other + beside) for first, other in zip((like, cross), second, strict=True))
    if parts.rails == 2:
        return [_Columns(like + cross, like - cross)]
    cross = cross * (polarity < 0).any(axis=0)
    return [_Columns(like, like), _Columns(cross, cross)]


def _places(conductance: np.ndarray, polarity: np.ndarray, switches: Switches) -> tuple[np.ndarray, np.ndarray]:
    """Conductances of a slice's like and unlike places, (n, n) S each: with the resistor and a closed switch, or an open one."""
    closed = (conductance / (1.0 + conductance * switches.on_resistance)).mean(axis=0)
    like, cross = (np.where((sign * polarity > 0) & (closed > 0), closed, switches.leakage) for sign in (1, -1))
    return like, cross


def _eliminated(families: list[_Columns], ohm: float, beside: complex) -> tuple[list[np.ndarray], np.ndarray]:
    """K of each family and L with the taps eliminated; `beside` is the admittance to ground at each tap.

    One solve for each amplifier input at 1 V gives both, since the network is reciprocal: what flows out of a grounded driver then is
    what the driver at 1 V would send into the grounded input.
    """
    n, segment, rows = len(families[0].total), 1.0 / ohm, len(families)
    place = np.arange((rows + 1) * n * n).reshape(rows + 1, n, n)  # [family or rows, i, j]
    own = np.full(place.shape, 2.0 * segment + beside)
    own[:rows, -1, :] -= segment  # the far ends
    own[rows, :, 0] -= segment
    own[rows] += sum(family.total for family in families)
    chains = [(place[:rows, :-1], place[:rows, 1:]), (place[rows, :, :-1], place[rows, :, 1:])]
    entries = [(a.ravel(), b.ravel(), np.full(a.size, -segment)) for a, b in chains]
    for f, family in enumerate(families):
        own[f] += family.total
        entries.append((place[f].ravel(), place[rows].ravel(), -family.coupled.ravel()))
    first, second, values = (np.concatenate(part) for part in zip(*entries, strict=True))
    diagonal = place.ravel()
    network = sparse.coo_array(
        (
            np.concatenate([own.ravel(), values, values]),
            (np.concatenate([diagonal, first, second]), np.concatenate([diagonal, second, first])),
        ),
        shape=(place.size, place.size),
    ).tocsc()
    # Diagonally dominant: no pivoting is needed, and the order may be a symmetric one.
    factors = sparse_linalg.splu(
        network, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    total = sum(family.total for family in families) + beside
    coupled = [np.empty((n, n), dtype=network.dtype) for _ in families]
    load = np.empty((n, n), dtype=network.dtype)
    for i in range(n):
        right = np.zeros(place.size, dtype=network.dtype)
        right[place[rows, i, -1]] = segment
        taps = factors.solve(right).reshape(place.shape)
        for f, one in enumerate(coupled):
            one[i] = segment * taps[f, 0]
        load[:, i] = (total * taps[rows] - sum(family.coupled * taps[f] for f, family in enumerate(families))).sum(
            axis=1
        )
    return coupled, load
