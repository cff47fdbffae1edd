"""Verification: the emitted netlist, parsed back from its text, is the circuit that was intended.

Two comparisons, one for each half of the way. The parts' matrix, storage and drive are held against the matrix to be realised, up to
the rounding of the parts. Then the text of the netlist is read by a parser that knows nothing of fabrics, becomes the matrices of modified
nodal analysis, (G + s C) z = B u with read voltages v = H z, and these are solved for the drive u that holds given v:

    [G + s C   -B] [z]   [0]
    [   H       0] [u] = [v],        u = Y(s) v,

which must be the fabric's law Y(s), column by column. Solved this way round, Y is exact to rounding however badly conditioned the matrix
is, since its inverse never appears. Two values of s hold every part; with more than `WHOLE` unknowns, random v stand for all of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import linalg as sparse_linalg

from ...circuits.bulk import collector_paused
from ...circuits.errors import ThermogradError
from ...circuits.linear.descriptor import Descriptor, describe_elements
from ...circuits.spice.read import parse_elements
from ...circuits.technology.e_series import series_values
from ...circuits.technology.parts import OpAmp, Resistors
from ..matrices import dense, is_sparse, largest_entry, scaled
from ..program import AnalogProgram
from .quantise import code_step, is_discrete, smallest_code
from .slices import slices_of

TOLERANCE = 1e-9
"""Largest difference, relative to the largest entry, that counts as rounding of the arithmetic."""
WHOLE = 128
"""Unknowns up to which every column of Y(s) is compared; above, `PROBES` random combinations of them are."""
PROBES = 8


class VerificationError(ThermogradError):
    """The netlist does not realise the program: a fault of thermograd itself, never of the input."""


def verify(program: AnalogProgram) -> float:
    """Compare and return the largest difference of Y(s), relative to its largest entry.

    The program must be nominal (both rails alike), as the compiler makes it; a die's rails differ and couple in second order.

    Raises:
        VerificationError: they differ by more than rounding.
    """
    _require_target(program)
    with collector_paused():
        elements, _ = parse_elements(program.to_spice())
    if len(set(map(str.lower, [element.name for element in elements]))) != len(elements):
        raise VerificationError(
            "two parts of the netlist have one name: this is a fault in thermograd, please report it"
        )
    descriptor = describe_elements(elements)
    read = descriptor.differences(list(program.readouts))
    place = {name: k for k, name in enumerate(descriptor.sources)}
    drives = program.fabric.drives(program.parts)
    entries = [(place[name], i, value) for i, drive in enumerate(drives) for name, value in drive.items()]
    rows, columns, values = (np.array(part) for part in zip(*entries, strict=True))
    mix = sparse.coo_array((values, (rows, columns)), shape=(len(place), program.size)).tocsc()
    if program.size <= WHOLE:
        probes = np.eye(program.size)
    else:
        probes = np.random.default_rng(0).standard_normal((program.size, PROBES))
    worst = 0.0
    for times in program.fabric.probes:
        s = times / program.tau
        found = _held_by(descriptor, read, mix, s, probes)
        law = program.fabric.admittance(program.parts, program.technology, s)
        # Currents are what the host asks for; rounded input resistors turn them into a little more or less.
        wanted = (law @ probes) / program.fabric.drive(program.parts)[:, None]
        difference = float(np.abs(found - wanted).max() / np.abs(wanted).max())
        worst = max(worst, difference)
        if not difference <= TOLERANCE:
            i, j = np.unravel_index(np.argmax(np.abs(found - wanted)), found.shape)
            raise VerificationError(
                f"the netlist of fabric {program.fabric_name} differs from its law by {difference:.3g} (relative) at s = {s:.4g} 1/s, "
                f"cell {i + 1}, column {j + 1}: this is a fault in thermograd, please report it with the matrix"
            )
    return worst


def _held_by(
    descriptor: Descriptor, read: sparse.csc_array, mix: sparse.csc_array, s: float, volts: np.ndarray
) -> np.ndarray:
    """The drives u, (n, k), that hold read voltages `volts`, (n, k)."""
    whole = descriptor.at(s)
    size, n = whole.shape[0], volts.shape[0]
    if size == n:  # a network: every unknown of the analysis is a read voltage, and nothing has to be eliminated
        held = whole @ sparse_linalg.splu(read).solve(volts)
        return np.asarray(sparse_linalg.splu(sparse.csc_array(descriptor.input @ mix)).solve(held))
    system = sparse.bmat([[whole, -(descriptor.input @ mix)], [read, None]], format="csc")
    row_scale, column_scale = _equilibration(system)
    system = sparse.csc_array(sparse.diags_array(row_scale) @ system @ sparse.diags_array(column_scale))
    right = np.zeros((size + n, volts.shape[1]))
    right[size:] = volts
    right *= row_scale[:, None]
    # Measured: minimum degree is the faster order for arrays, and a hundred times the slower one for large networks.
    factors = sparse_linalg.splu(system, permc_spec="MMD_AT_PLUS_A" if system.shape[0] < 10_000 else "COLAMD")
    solved = factors.solve(right)
    solved += factors.solve(right - system @ solved)
    return np.asarray((solved * column_scale[:, None])[size:])


def _equilibration(system: sparse.csc_array) -> tuple[np.ndarray, np.ndarray]:
    """Scales of rows and columns that bring the largest entries to order one: siemens, ohms and gains of 1e8 meet here."""
    entries = system.tocoo()
    size, row, column = np.abs(entries.data), entries.row, entries.col
    rows, columns = np.ones(system.shape[0]), np.ones(system.shape[1])
    for _ in range(3):
        for scale, place in ((rows, row), (columns, column)):
            largest = np.zeros(len(scale))
            np.maximum.at(largest, place, size * rows[row] * columns[column])
            scale /= np.sqrt(largest)
    return rows, columns


def _require_target(program: AnalogProgram) -> None:
    """Raise unless the parts are those of the target matrix, up to rounding."""
    technology, d, fabric, parts = program.technology, program.scaling, program.fabric, program.parts
    ideal = technology.model_copy(update={"opamp": OpAmp()})
    wanted = scaled(program.target, program.conductance_unit * d, d)
    found = fabric.realised(parts, ideal)
    _compare("K", found, wanted, _rounding(program, wanted))
    capacitances = parts.capacitances()
    if capacitances is not None:
        _compare("C", capacitances, technology.capacitors.unit * d**2, 0.0)
    if (inertia := fabric.inertia(parts)) is not None:
        _compare("inertia", inertia, program.conductance_unit * (program.tau * d) ** 2, 0.0)
    ratio = _relative_rounding(technology.resistors)
    allowed = ratio if program.rounding == "nearest" else (1 + ratio) ** 2 - 1
    _compare("drive", fabric.drive(parts), np.ones(program.size), allowed)


def _compare(name: str, found: Any, wanted: Any, allowed: Any) -> None:
    if is_sparse(wanted):
        difference = abs(found - wanted)
        slack = TOLERANCE * largest_entry(wanted)
        excess = difference - allowed if is_sparse(allowed) else difference
        if excess.nnz and float(excess.max()) > slack:
            entries = excess.tocoo()
            k = int(np.argmax(entries.data))
            _raise_difference(name, (int(entries.row[k]), int(entries.col[k])), found, wanted, float(excess.max()))
        return
    found, wanted = dense(found), np.asarray(wanted)
    excess = np.abs(found - wanted) - np.asarray(allowed) - TOLERANCE * float(np.abs(wanted).max())
    if (excess > 0).any():
        place = tuple(int(k) for k in np.unravel_index(np.argmax(excess), excess.shape))
        _raise_difference(name, place, found, wanted, float(excess[place]))


def _raise_difference(name: str, place: tuple[int, ...], found: Any, wanted: Any, excess: float) -> None:
    index = place if len(place) > 1 else place[0]
    raise VerificationError(
        f"{name}{list(place)} of the parts is {found[index]:.6g}, but the matrix needs "
        f"{wanted[index]:.6g}, {excess:.2g} more than rounding explains; "
        "compile the matrix again. If that does not help, this is a fault in thermograd: please report it"
    )


def _relative_rounding(resistors: Resistors) -> float:
    """Half way, by ratio, between the two numbers of the series that lie farthest apart; with codes, of the largest one."""
    if resistors.series is not None:
        grid = np.append(series_values(resistors.series), 10.0)
        return math.sqrt(float((grid[1:] / grid[:-1]).max())) - 1
    return 0.0


def _rounding(program: AnalogProgram, wanted: Any) -> Any:
    """How far rounding may move each entry of the realised matrix."""
    resistors = program.technology.resistors
    if not is_discrete(resistors):
        return 0.0
    ratio = _relative_rounding(resistors)
    finest = slices_of(resistors)[-1]
    step = 0.0 if resistors.bits is None else max(code_step(finest), smallest_code(finest)) / 2
    if program.rounding != "nearest":
        step, ratio = 2 * step, (1 + ratio) ** 2 - 1
    return program.parts.rounding_bound(wanted, ratio, step)
