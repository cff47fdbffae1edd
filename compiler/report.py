"""What a designer wants to know of a compiled program, as numbers and as text."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .fabrics.base import couplings

if TYPE_CHECKING:
    from .program import AnalogProgram


@dataclass(frozen=True)
class Report:
    """Figures of one program. Times in s, resistances in ohm, power in W; matrices in problem units.

    Attributes:
        matrix_error: ||M - A||_F / ||A||_F of the realised matrix M against the intended A.
        solution_error: ||M^-1 - A^-1||_F / ||A^-1||_F, the relative rms error of the solution over random b.
        slow_time: slowest time constant, tau / lambda_min(A).
        resistor_power: heat of all resistors with every unknown at half of the rail; amplifiers not included.
        parts: number of parts of each kind. bill: (kind, value, count), largest count first.
    """

    unknowns: int
    fabric: str
    reason: str
    technology: str
    damping: float
    lambda_star: float
    condition_number: float
    matrix_error: float
    solution_error: float
    conductance_unit: float
    volts_per_unit: float
    tau: float
    slow_time: float
    smallest_resistor: float
    largest_resistor: float
    resistor_power: float
    parts: dict[str, int]
    bill: tuple[tuple[str, float, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        rows = [
            ("fabric", f"{self.fabric} for {self.unknowns} unknowns, technology {self.technology}"),
            ("why", self.reason),
            ("lambda*", f"{self.lambda_star:.4g} beyond the damping of {self.damping:.4g}"),
            ("condition number", f"{self.condition_number:.4g}"),
            ("error of the matrix", f"{self.matrix_error:.3g} (relative, Frobenius)"),
            ("error of A^-1 b", f"{self.solution_error:.3g} (relative, rms over b), nominal parts"),
            ("time", f"tau = {self.tau:.3g} s, slowest time constant {self.slow_time:.3g} s"),
            ("scale", f"{self.volts_per_unit:.4g} V and {self.conductance_unit:.4g} S a problem unit"),
            ("parts", ", ".join(f"{count} {kind}" for kind, count in self.parts.items())),
            ("resistors", f"{self.smallest_resistor:.4g} to {self.largest_resistor:.4g} ohm"),
            ("power in resistors", f"{self.resistor_power:.3g} W with all unknowns at half of the rail"),
        ]
        return "\n".join(f"{name:>20}  {text}" for name, text in rows)


def describe(program: AnalogProgram) -> Report:
    """Derive the report of a program."""
    a, parts, technology = program.target, program.parts, program.technology
    eigenvalues = np.linalg.eigvalsh(a)
    inverse = np.linalg.inv(a)
    realised = np.linalg.inv(program.matrix)
    bill = _bill(program)
    resistors = np.array([value for kind, value, _ in bill if kind == "resistor"])
    conductance = sum(count / value for kind, value, count in bill if kind == "resistor")
    kinds: Counter[str] = Counter()
    for kind, _, count in bill:
        kinds[kind] += count
    return Report(
        unknowns=program.size,
        fabric=program.fabric_name,
        reason=program.reason,
        technology=technology.name,
        damping=program.damping,
        lambda_star=program.lambda_star,
        condition_number=float(eigenvalues[-1] / eigenvalues[0]),
        matrix_error=float(np.linalg.norm(program.matrix - a) / np.linalg.norm(a)),
        solution_error=float(np.linalg.norm(realised - inverse) / np.linalg.norm(inverse)),
        conductance_unit=program.conductance_unit,
        volts_per_unit=program.volts_per_unit,
        tau=program.tau,
        slow_time=program.tau / float(eigenvalues[0]),
        smallest_resistor=float(resistors.min(initial=math.inf)),
        largest_resistor=float(resistors.max(initial=0.0)),
        # Each rail stands at a quarter of the differential rail.
        resistor_power=conductance * (technology.opamp.rail / 4) ** 2,
        parts=dict(kinds) | ({"amplifier": len(parts.offset)} if program.fabric_name == "crossbar" else {}),
        bill=bill,
    )


def _bill(program: AnalogProgram) -> tuple[tuple[str, float, int], ...]:
    parts = program.parts
    counts: Counter[tuple[str, float]] = Counter()
    for rail, i, j in couplings(parts):
        if i < j or not program.fabric.symmetric:
            counts["resistor", _rounded(1.0 / parts.coupling[rail, i, j])] += 1
    for conductance in np.concatenate([parts.ground.ravel(), parts.drive.ravel()]):
        if conductance > 0:
            counts["resistor", _rounded(1.0 / conductance)] += 1
    for capacitance in parts.capacitance.ravel():
        counts["capacitor", _rounded(capacitance)] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple((kind, value, count) for (kind, value), count in ordered)


def _rounded(value: float) -> float:
    """To 9 digits, so that rounding in the last place does not split one line of the bill into several."""
    return float(f"{value:.9g}")
