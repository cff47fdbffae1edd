"""The exceptions of thermograd: what went wrong is a type, why and what to do is the message.

`InputError` is the caller's mistake (exit code 2 on the command line); `SimulationError` is ngspice's
or its worker's failure and carries ngspice's own words.
"""

from __future__ import annotations


class ThermogradError(Exception):
    """Base of everything that thermograd raises on purpose."""


class InputError(ThermogradError, ValueError):
    """An argument, file or field is unusable. The message names the entry, its value, the allowed range and the remedy."""


class NetlistError(InputError):
    """A netlist that no simulator should be given: floating node, source loop, duplicate or illegal name."""


class UnrealisableError(InputError):
    """The matrix cannot be built in the fabric asked for. The message names the condition and what would lift it."""


class SimulationError(ThermogradError, RuntimeError):
    """ngspice failed, and the message holds what it printed; or the workers that jobs were sent to cannot be reached."""


class SimulatorMissing(SimulationError):
    """libngspice (or a code model it needs) is not on this machine."""


class SchedulerMissing(SimulationError):
    """Nobody answers at the address of a dask.distributed scheduler."""


class SimulationTimeout(SimulationError):
    """The job ran past its time limit and its worker was stopped."""


class WorkerDied(SimulationError):
    """The worker process ended in the middle of a job (killed, out of memory, or a crash inside ngspice)."""
