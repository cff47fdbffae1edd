"""`compiled_array`: the array of a compiled program, with the settling time and the heat of its own circuit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import brentq

from ...circuits.amplifiers.output_stage import share_of_limits
from ...circuits.errors import InputError
from ...compiler.analysis.area import no_area, program_area
from ...compiler.program import AnalogProgram
from .loaded_circuit import LoadedCircuit
from .solver_array import ACCURACY, SolverArray, overloaded

LARGEST = 150
"""Most cells whose state space is worked out, of oscillators half as many; larger ones take the slowest time constant that their fabric
states."""


@dataclass(frozen=True, eq=False)
class CompiledCircuit:
    """The law of a compiled program; see `solver_array.Circuit`.

    Attributes:
        program: nominal, or on a die. b: (n,) right-hand side, problem units; None: every one.
    """

    program: AnalogProgram
    b: Any = None

    @cached_property
    def loaded(self) -> LoadedCircuit | None:
        """Its state space; None: it is too large."""
        return LoadedCircuit(self.program, self.b) if self.program.size <= largest(self.program) else None

    def settling(self, accuracy: float) -> float:
        """See `Circuit.settling`. Of a large program what its slowest mode takes, whose amplifiers have no load at their outputs."""
        if self.loaded is not None:
            return self.loaded.settling(accuracy)
        program = self.program
        return program.settling_time * _lasts(accuracy, program.fabric.states) if program.is_stable() else math.inf

    def largest_load(self) -> float:
        """See `Circuit.largest_load`; 0 where there are no amplifiers, or too many."""
        return float(self.loaded.load_conductances().max(initial=0.0)) if self.loaded else 0.0

    def largest_current(self) -> float:
        """For its b; else of the most loaded output with the voltage that a program is planned for."""
        return float(np.abs(self._outputs[1]).max(initial=0.0))

    def obstacles(self) -> tuple[str, ...]:
        """See `Circuit.obstacles`."""
        opamp, found = self.program.technology.opamp, []
        if math.isinf(self.settling(ACCURACY)):
            found.append(
                "the circuit is unstable: a natural frequency does not decay with the amplifiers' gain, poles and loads; use a larger "
                "gain-bandwidth product, larger capacitors, or more damping"
            )
        if self.loaded is None or not len(self._outputs[0]):
            return tuple(found)
        volts, currents = np.abs(self._outputs)
        shares = share_of_limits(opamp, opamp.outputs * volts, currents)
        worst = int(np.argmax(shares))
        why = overloaded(opamp, opamp.outputs * float(volts[worst]), float(currents[worst]), "a lower signal level")
        return (*found, *([why] if why else []))

    @cached_property
    def _outputs(self) -> np.ndarray:
        """(2, outputs): volts and amperes of each output of an amplifier."""
        if self.loaded is None:
            return np.zeros((2, 0))
        if self.b is not None:
            rest = self.loaded.at_rest()
            return np.array([rest.volts, rest.currents])
        planned = self.program.technology.opamp.output_limit / 2 / self.program.parts.rails
        loads = self.loaded.load_conductances()
        return np.array([np.full(len(loads), planned), planned * loads])

    def heat(self, seconds: float) -> float:
        """W in the resistors, mean of a run of that length for its b, from cells without charge."""
        assert self.loaded is not None
        return self.loaded.heat(seconds) / seconds if seconds > 0 else self.loaded.at_rest().heat

    def drive_loss(self) -> float:
        """See `SolverArray`: V_s |i| - v i of each output at rest; without a b the most that outputs within their limits can lose."""
        supply = self.program.technology.opamp.supply
        if not supply or self.loaded is None:
            return 0.0
        if self.b is not None:
            volts, currents = self._outputs
            return float(np.sum(supply * np.abs(currents) - volts * currents))
        volts = min(self.program.technology.opamp.output_limit / self.program.parts.rails, supply / 2)
        return float(volts * (supply - volts) * self.loaded.load_conductances().sum())


def largest(program: AnalogProgram) -> int:
    """Most cells of its fabric whose state space is worked out."""
    return LARGEST // program.fabric.states


def _lasts(accuracy: float, states: int) -> float:
    """Time constants y until exp(-y), or (1 + y) exp(-y) of cells of second order, is down to the accuracy."""
    if states == 1:
        return math.log(1 / accuracy)
    return float(brentq(lambda y: math.log1p(y) - y - math.log(accuracy), 0.0, 2 * math.log(1 / accuracy) + 2))


def compiled_array(
    program: AnalogProgram, b: Any = None, duration: float | None = None, accuracy: float = ACCURACY
) -> SolverArray:
    """The array of a compiled program: its own tau, parts and circuit.

    Codes: each factor's entries in a cascade, each part of a network, n (n + 1) / 2 where one code sets a symmetric pair, else n^2.

    Args:
        program: nominal, or on a die.
        b: (n,) right-hand side, problem units: the heat is that of its run, exactly (`loaded_circuit`); None: heat and drive loss are
            upper bounds for every b (`Report.resistor_power`).
        duration: of the run, tau; None: as long as the circuit needs to `accuracy`.
        accuracy: see `ACCURACY`.

    Raises:
        InputError: b does not fit, or is given for a program of more than `largest` cells; a duration that is negative or not finite.
    """
    if b is not None and program.size > largest(program):
        raise InputError(
            f"b with {program.size} unknowns: the run of at most {largest(program)} is worked out; leave b out"
        )
    if duration is not None and not 0 <= duration < math.inf:
        raise InputError(f"duration is {duration}: give a finite number >= 0, in tau")
    circuit, technology = CompiledCircuit(program, b), program.technology
    most = program.parts.dissipation_bound(technology.opamp.output_limit, technology.dac.full_scale)
    amplifiers = sum(len(values) for kind, values in program.parts.inventory() if kind == "amplifier")
    heat = most
    if b is not None and math.isfinite(circuit.settling(accuracy)):
        heat = circuit.heat(circuit.settling(accuracy) if duration is None else duration * program.tau)
    return SolverArray(
        program.size,
        program.parts.code_count(),
        amplifiers,
        program.tau,
        heat,
        circuit.drive_loss(),
        most,
        circuit,
        None if (why := no_area(program)) else program_area(program),
        why,
    )
