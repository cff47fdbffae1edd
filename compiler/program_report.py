"""`Report`: what a designer wants to know of a compiled program, as numbers and as text. `analysis.describe` works it out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .fabrics.registry import fabric_named

ROUNDING = 1e-14
"""Relative errors below this are those of double precision, not of the parts."""


@dataclass(frozen=True)
class Sensitivity:
    """One part (both components of a pair, where there are two rails) and what its deviation does.

    Attributes:
        part: its name in the netlist, without the rail's letter.
        value: ohm, H or F.
        per_unit: relative change of the solution for a relative change of one of this part.
        per_kelvin: relative change of the solution for a kelvin at this part alone, by its temperature coefficient.
    """

    part: str
    value: float
    per_unit: float
    per_kelvin: float


@dataclass(frozen=True)
class LayoutEffect:
    """What the layout makes of a program's solution at rest, amplifier offsets aside; relative errors against A^-1 b.

    Attributes:
        solution_error: ||M^-1 - A^-1||_F / ||A^-1||_F of the extracted netlist's matrix M, the rms error over random b.
        error_for_b: |M^-1 b - A^-1 b| / |A^-1 b|; None: no b was given.
        nodes: of the extracted netlist.
        parts: that it has more than the schematic; 0: the technology states no wires, switches or parasitics.
        stable: whether each of its natural frequencies decays; None: it has more than `JUDGED` nodes.
    """

    solution_error: float
    error_for_b: float | None
    nodes: int
    parts: int
    stable: bool | None

    def __str__(self) -> str:
        if self.parts == 0:
            return "adds nothing: the technology states no wires, switches, parasitic capacitances or DAC output"
        own = "" if self.error_for_b is None else f", {self.error_for_b:.3g} for this b"
        judged = {
            True: "all of its modes decay",
            False: "but it is UNSTABLE: less parasitic capacitance at inputs and lines is needed, or more at the integrators",
            None: f"whether it is stable a transient must show ({self.nodes} nodes)",
        }[self.stable]
        return f"error of A^-1 b {self.solution_error:.3g} (relative, rms over b){own}; {judged}"


@dataclass(frozen=True)
class DieError:
    """What the technology's tolerances make of the solution for one b, from die to die, to first order (`analysis.die_spread`).

    Attributes:
        relative_error: rms over dies of |x - x_nominal| / |x_nominal|. resistors, offsets: what each makes on its own.
        deviation: (n) standard deviation of each unknown, problem units.
    """

    relative_error: float
    resistors: float
    offsets: float
    deviation: tuple[float, ...]

    def __str__(self) -> str:
        offsets = f", amplifiers' offsets {self.offsets:.3g}" if self.offsets else ""
        return f"error {self.relative_error:.3g} (relative, rms over dies): resistors {self.resistors:.3g}{offsets}"


@dataclass(frozen=True)
class Report:
    """Figures of one program. Times in s, resistances in ohm, power in W; matrices in problem units.

    Attributes:
        matrix_error: ||M - A||_F / ||A||_F of the realised matrix M against the intended A.
        solution_bound: largest possible |x - A^-1 b| / |A^-1 b| of the emitted netlist (nominal parts) at rest, over all b.
        solution_error: ||M^-1 - A^-1||_F / ||A^-1||_F, the relative rms error of the solution over random b.
        slow_time: slowest time constant, tau / lambda_min(A) in first-order fabrics.
        resistor_power: most heat that the resistors make at rest with no unknown beyond half of the output limit and no input beyond the
            DAC's full scale; amplifiers not included. 0 in oscillators, which rest without voltage.
        error_for_b: |M^-1 b - A^-1 b| / |A^-1 b| for the b of `describe`; None: none was given.
        die_error: what the technology's tolerances add for that b, offsets included; None: no b, no tolerances, no dies, or too large.
        layout: what wires, switches and parasitics of the extracted netlist add to these errors; None: not asked for.
        drive_resistor: nominal input resistor of each cell; None where currents are the drive.
        dac_share: largest drive voltage over the DAC's full scale, for the b of `describe`, or, without one, for the worst of unit norm.
        pruned, prune_bound: see `AnalogProgram`; not part of the other errors.
        tolerance_error: relative rms error of A^-1 b that the technology's tolerance makes, to first order.
        most_sensitive: the parts that matter most (`analysis.sensitivity`), with their effect on A^-1 b.
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
    solution_bound: float
    pruned: int
    prune_bound: float
    conductance_unit: float
    volts_per_unit: float
    tau: float
    slow_time: float
    smallest_resistor: float
    largest_resistor: float
    resistor_power: float
    tolerance_error: float
    most_sensitive: tuple[Sensitivity, ...]
    parts: dict[str, int]
    bill: tuple[tuple[str, float, int], ...]
    error_for_b: float | None = None
    die_error: DieError | None = None
    layout: LayoutEffect | None = None
    drive_resistor: float | None = None
    dac_share: float | None = None

    def _when_there(self) -> Iterator[tuple[str, str]]:
        """The rows that not every program has."""
        if self.error_for_b is not None:
            yield "error for this b", f"{_relative(self.error_for_b)} (relative); nominal parts"
        if self.die_error is not None:
            yield "dies, for this b", str(self.die_error)
        if self.layout is not None:
            yield "after layout", str(self.layout)
        if self.drive_resistor is not None and self.dac_share is not None:
            whose = "a b of unit norm" if self.error_for_b is None else "this b"
            yield (
                "drive",
                f"through {self.drive_resistor:.4g} ohm, DAC at {self.dac_share:.3g} of its full scale for {whose}",
            )
        if self.pruned:
            yield "pruned", f"{self.pruned} couplings, which changes A^-1 b by at most {self.prune_bound:.3g}"
        if self.tolerance_error:
            yield "tolerance", f"error of A^-1 b {self.tolerance_error:.3g} (relative, rms over b and dies)"
        if self.most_sensitive:
            yield "parts that matter", ", ".join(f"{part.part} {part.per_unit:.2g}" for part in self.most_sensitive)

    def _reactive(self, kind: str, unit: str) -> Iterator[tuple[str, str]]:
        """The row with the range of this kind of part, if there are any."""
        values = [value for name, value, _ in self.bill if name == kind]
        if values:
            low, high = min(values), max(values)
            yield f"{kind}s", f"{low:.4g} {unit}" if low == high else f"{low:.4g} to {high:.4g} {unit}"

    def _solution(self) -> str:
        """The error over all b; of exact parts both figures are rounding, and their order says nothing."""
        if max(self.solution_error, self.solution_bound) < ROUNDING:
            return f"{_relative(self.solution_bound)} (relative)"
        return f"{_relative(self.solution_error)} (relative, rms over b), at most {_relative(self.solution_bound)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        rows = [
            ("fabric", f"{self.fabric} for {self.unknowns} unknowns, technology {self.technology}"),
            ("why", self.reason),
            ("lambda*", f"{self.lambda_star:.4g} beyond the damping of {self.damping:.4g}"),
            ("condition number", f"{self.condition_number:.4g}"),
            ("error of the matrix", f"{_relative(self.matrix_error)} (relative, Frobenius)"),
            ("error of A^-1 b", f"{self._solution()}; nominal parts"),
            *self._when_there(),
            ("time", f"tau = {self.tau:.3g} s, slowest time constant {self.slow_time:.3g} s"),
            (
                "scale",
                f"{self.volts_per_unit:.4g} V and {self.conductance_unit:.4g} {fabric_named(self.fabric).unit} a problem unit",
            ),
            ("parts", ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in self.parts.items())),
            ("resistors", f"{self.smallest_resistor:.4g} to {self.largest_resistor:.4g} ohm"),
            *self._reactive("capacitor", "F"),
            *self._reactive("inductor", "H"),
            (
                "power in resistors",
                f"{self.resistor_power:.3g} W at most, with no unknown beyond half of the output limit",
            ),
        ]
        return "\n".join(f"{name:>20}  {text}" for name, text in rows)


def _relative(error: float) -> str:
    """A relative error in digits, unless it is only rounding."""
    return f"{error:.3g}" if error == 0 or error >= ROUNDING else "rounding of double precision"
