"""The transistors of a design's amplifier, each with its own mismatch and what it does to the amplifier."""

from __future__ import annotations

from thermograd.circuits.amplifiers.sensitivities import MismatchBench, amplifier_sensitivities
from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.technology.pdk.process_record import Process

from .designs import Design
from .figures import Figures


def add_mismatch(found: Figures, design: Design, of: Process, amplifier: Amplifier) -> None:
    """Add `opamp.transistors`: a second of simulations."""
    bench = MismatchBench(amplifier, design.load_resistance, design.load_capacitance)
    slopes = amplifier_sensitivities(bench, of.pelgrom)
    found.add(
        "opamp",
        "transistor_mismatch",
        "simulated",
        f"slopes by ngspice under the amplifier's load; deviations by Pelgrom's law, {of.nmos.model}: {of.nmos.pelgrom.source}; "
        f"{of.pmos.model}: {of.pmos.pelgrom.source}",
        f"python benchmarks/circuits/amplifier_mismatch.py {design.process}",
        transistors=[_rounded(one.model_dump(exclude_defaults=True)) for one in slopes.transistors],
    )


def _rounded(fields: dict[str, str | float]) -> dict[str, str | float]:
    """Six digits; a slope that symmetry makes zero is no figure."""
    least = 1e-9
    return {
        key: float(f"{value:.6g}") if isinstance(value, float) else value
        for key, value in fields.items()
        if isinstance(value, str) or abs(value) > least
    }
