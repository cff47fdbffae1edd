"""Several programs of one matrix, rounded differently, whose solutions are averaged (arXiv 2401.16231).

A stochastically rounded circuit has the right matrix on average, A_k = A + E_k with a mean of E_k of zero, and its solution is

    x_k = x - A^-1 E_k x + A^-1 E_k A^-1 E_k x - ...

Averaged over m programs, the first-order error eps falls to eps / sqrt(m), down to a floor of about eps^2 from the second order, which has
a mean of its own. Nearest rounding has no such average: its error is the same each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..circuits.errors import InputError, UnrealisableError
from ..circuits.technology.technology import Technology
from .compile import compile_matrix
from .matrices import largest_entry, relative_inverse_error
from .program import AnalogProgram


def compile_ensemble(
    matrix: Any,
    programs: int = 8,
    fabric: str = "auto",
    technology: Technology | str = "ideal",
    damping: float = 0.0,
    b: Any = None,
    check: bool = True,
    equilibrate: bool = False,
    prune: float = 0.0,
    seed: int = 0,
    floor: float | None = None,
) -> tuple[AnalogProgram, ...]:
    """Programs of one matrix, each stochastically rounded with a seed of its own; the mean of their solutions is the one to use.

    Args:
        matrix, fabric, technology, damping, b, check, equilibrate, prune, floor: as in `compile_matrix`. Without bits or a series nothing
            is rounded, and all programs are the same.
        programs: how many, m >= 1. The first of a larger ensemble are those of a smaller one.
        seed: of the ensemble, >= 0.

    Raises:
        InputError: m or the seed is unusable; or as `compile_matrix`.
        UnrealisableError: as `compile_matrix`, also when the rounding of only one program makes it unstable.
    """
    for name, value, least in (("programs", programs, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"{name} is {value!r}; give an integer >= {least}")
    compiled = []
    for k, own in enumerate(np.random.SeedSequence(seed).generate_state(programs).tolist()):
        try:
            compiled.append(
                compile_matrix(
                    matrix, fabric, technology, damping, b, check, equilibrate, prune, "stochastic", own, floor
                )
            )
        except UnrealisableError as error:
            raise UnrealisableError(f"program {k + 1} of {programs}: {error}") from None
    return tuple(compiled)


def mean_solution_error(programs: Sequence[AnalogProgram]) -> float:
    """Relative rms error, over random b, of the mean of the programs' solutions: || mean_k M_k^-1 - A^-1 ||_F / || A^-1 ||_F.

    M_k is the matrix of the emitted netlist k at rest (nominal parts); for one program this is its report's `solution_error`.

    Args:
        programs: one or more of one matrix.

    Raises:
        InputError: there are none, or they are not of one matrix.
    """
    if not programs:
        raise InputError("there is no program to take the mean of; give at least one")
    target = programs[0].target
    for k, program in enumerate(programs):
        if program.size != programs[0].size or largest_entry(program.target - target) > 0:
            raise InputError(f"program {k + 1} is of another matrix than program 1; give programs of one matrix")
    return relative_inverse_error(target, *(program.emitted_matrix for program in programs))
