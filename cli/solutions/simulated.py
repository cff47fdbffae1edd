"""`Simulated`: a system that a device solved by settling, and what `simulate` shows of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...circuits.errors import InputError
from ...circuits.files import write_file, write_text
from ..outputs import Progress

if TYPE_CHECKING:
    import numpy as np

    from ...devicemodel.device import Device, Solution
    from ...devicemodel.systems import Dense, Kronecker, LowRank

SETTLING_TIMES = 10.0
"""Default duration in slow time constants y: the remaining settling error is e^-y, of oscillators (1 + y) e^-y."""
READINGS = ("auto", "refined", "bare")
FLOOR_ROUNDING = 1e-6
"""Share by which the smallest eigenvalue is taken smaller, for its rounding."""
CURVE_POINTS = 100


@dataclass(frozen=True, eq=False)
class Simulated:
    """One system solved on one device: as it was programmed, damped matrix (n, n), b and exact solution (n,), duration in tau."""

    device: Device
    system: Dense | LowRank | Kronecker
    matrix: np.ndarray
    b: np.ndarray
    exact: np.ndarray
    duration: float
    slow_time: float
    solution: Solution

    @property
    def x(self) -> np.ndarray:
        """The device's reading, (n,)."""
        return self.solution.x.numpy()

    @property
    def relative_error(self) -> float:
        """|x - A^-1 b| / |A^-1 b|; nan for b = 0, where there is nothing to compare with."""
        import numpy as np

        scale = float(np.linalg.norm(self.exact))
        return float(np.linalg.norm(self.x - self.exact)) / scale if scale > 0 else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "outcome": self.solution.outcome.value,
            "relative_error": self.relative_error,
            "x": self.x,
            "exact": self.exact,
            "unknowns": len(self.b),
            "duration_tau": self.duration,
            "slow_time_tau": self.slow_time,
            "analog_seconds": self.solution.seconds,
            "attempts": self.solution.attempts,
            "not_modelled": list(self.solution.not_modelled),
            **self._refinement(),
            **self._board(),
        }

    def _refinement(self) -> dict[str, Any]:
        found = self.solution.refinement
        if found is None:
            return {"reading": "bare"}
        return {
            "reading": "refined",
            "residuals": list(found.residuals),
            "error_bound": found.bound,
            "digital_products": found.products,
        }

    def _board(self) -> dict[str, Any]:
        from ...devicemodel.devices.circuit import CircuitDevice

        board: dict[str, Any] = {"device": type(self.device).__name__}
        if self.solution.violations:
            board["violations"] = list(self.solution.violations)
        if isinstance(self.device, CircuitDevice):
            board |= {"technology": self.device.technology.name, "die": self.device.die.seed}
            if self.device.program is not None:
                board |= {"fabric": self.device.program.fabric_name, "reason": self.device.program.reason}
        return board

    def summary(self) -> str:
        """The result as text."""
        from ...compiler.limitations import left_out
        from ...devicemodel.devices.circuit import CircuitDevice

        board, solution = self._board(), self.solution
        technology = self.device.technology if isinstance(self.device, CircuitDevice) else None
        made = [board["device"], board.get("technology"), board.get("fabric")]
        made += [f"die {board['die']}" if board.get("die") is not None else None]
        time = "settled" if math.isinf(self.duration) else f"{self.duration:.4g} tau"
        clock = "" if math.isinf(solution.seconds) else f", {solution.seconds:.3g} s of analog time"
        refined = solution.refinement
        residuals = ", ".join(f"{one:.2g}" for one in refined.residuals) if refined else ""
        return "\n".join(
            [
                f"relative error {self.relative_error:.3g}, |x - A^-1 b| / |A^-1 b|",
                f"outcome {solution.outcome.value} after {solution.attempts} attempt(s), {time}{clock}",
                *([f"refined: |b - A x| / |b| {residuals} after each reading"] if refined else []),
                "on " + ", ".join(str(item) for item in made if item),
                *(f"outside of the card's range: {bound}" for bound in board.get("violations", ())),
                f"not modelled: {left_out(solution.not_modelled, technology)}",
            ]
        )

    @property
    def _given(self) -> Dense | LowRank | Kronecker:
        """Without what this command alone knows of a matrix, unless the device's friction goes by it."""
        from ...devicemodel.device import order_of
        from ...devicemodel.systems import Dense

        if not isinstance(self.system, Dense) or order_of(self.device) > 1:
            return self.system
        return Dense(self.system.A)

    def causes(self, dies: list[int | None] | list[int], seed: int, report: Progress) -> dict[str, Any]:
        """`ErrorBudget.to_dict()` of this system on dies of this device's kind. InputError for the ideal device."""
        import torch

        from ...devicemodel.devices.spice import SpiceDevice
        from ...devicemodel.devices.surrogate import SurrogateDevice
        from ...devicemodel.error_budget.budget import Problem, error_budget
        from ...devicemodel.error_budget.hardware import Hardware

        device, problem = self.device, Problem(self._given, torch.from_numpy(self.b))
        if isinstance(device, SurrogateDevice):
            hardware = Hardware(device.card, self.duration, layout=device.layout)
        elif isinstance(device, SpiceDevice):
            technology = device.technology.replace(thermal__johnson_noise=device.johnson_noise)
            hardware = Hardware(technology, self.duration, device.fabric, device.layout)
        else:
            raise InputError("--why does not apply to the ideal device, which makes no error; leave it out")
        return error_budget(
            hardware, [problem], dies, seed=seed, progress=lambda done, total: report("causes", done, total)
        ).to_dict()

    def write(self, path: Path) -> None:
        """x, exact solution, A and b as .npz, or a table of the vectors as .csv."""
        import numpy as np

        if path.suffix.lower() == ".npz":
            arrays = {"x": self.x, "exact": self.exact, "A": self.matrix, "b": self.b}
            write_file(path, lambda temporary: np.savez(temporary, **arrays))  # type: ignore[arg-type]
            return
        columns = zip(self.b.tolist(), self.x.tolist(), self.exact.tolist(), strict=True)
        rows = [f"{i},{b!r},{x!r},{exact!r}" for i, (b, x, exact) in enumerate(columns)]
        write_text(path, "\n".join(["i,b,x,exact", *rows, ""]))

    def plot(self, path: Path) -> None:
        """x(t) from zero: node voltages for SPICE, with velocities below where cells have any, and readings after increasing durations for
        the other devices."""
        import numpy as np
        import torch

        from ...devicemodel.devices.spice import SpiceDevice
        from ...report.figures.settling import settling_plot
        from ...report.figures.style import save

        stop = self.duration if math.isfinite(self.duration) else SETTLING_TIMES * self.slow_time
        if stop == 0:
            raise InputError("--plot needs a duration > 0: there is nothing to draw")
        if isinstance(self.device, SpiceDevice):
            time, x, velocities = _waveforms(self.device, self._given, self.b, stop)
            title = "Node voltages in problem units"
        else:
            system, b = self._given, torch.from_numpy(self.b)
            time, velocities = np.linspace(0.0, stop, CURVE_POINTS), None
            x = np.array([self.device.solve(system, b, float(t), x0=torch.zeros_like(b)).x.numpy() for t in time]).T
            title = "Readings after increasing durations"
        save(settling_plot(time, x, self.exact, f"{title}, {len(self.b)} unknowns", velocities), path)


def known_reading(reading: str) -> None:
    """InputError for any other than `READINGS`."""
    if reading not in READINGS:
        raise InputError(f"--reading is {reading!r}: give one of {', '.join(READINGS)}")


def simulated(
    device: Device,
    matrix: np.ndarray,
    b: np.ndarray | None,
    duration: float | None,
    reading: str,
    factors: LowRank | Kronecker | None = None,
) -> Simulated:
    """Solve A x = b on a device; b is ones and the duration `SETTLING_TIMES` by default.

    Args:
        factors: the system by its factors, where it is given so: for a device that takes no matrix.

    Raises:
        InputError: an unknown reading.
    """
    import numpy as np
    import torch

    from ...compiler.validate import validate_drive
    from ...devicemodel.device import order_of
    from ...devicemodel.host.refine import Refined, settles
    from ...devicemodel.systems import Dense

    known_reading(reading)
    drive = np.ones(len(matrix)) if b is None else validate_drive(b, len(matrix))
    least = float(np.linalg.eigvalsh(matrix)[0])
    slow = least if order_of(device) == 1 else math.copysign(math.sqrt(abs(least)), least)
    chosen = SETTLING_TIMES / slow if duration is None else duration
    refined = reading == "refined" or (reading == "auto" and settles(chosen, least, order_of(device)))
    # The command knows the smallest eigenvalue, as it knows the exact solution, to judge by.
    system: Dense | LowRank | Kronecker = Dense(
        torch.from_numpy(matrix), floor=least * (1 - FLOOR_ROUNDING) if least > 0 else 0.0
    )
    if factors is not None and not device.accepts(system):
        system = factors
    solution = (Refined(device) if refined else device).solve(system, torch.from_numpy(drive), chosen)
    exact = np.linalg.solve(matrix, drive)
    return Simulated(device, system, matrix, drive, exact, float(chosen), 1.0 / slow, solution)


def _waveforms(
    device: Any, system: Dense | LowRank | Kronecker, b: np.ndarray, stop: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Time (T,) in tau, unknowns (n, T) and velocities (n, T), V, of one ngspice transient on the device's die, from zero."""
    import dataclasses

    import numpy as np

    from ...circuits.ngspice.run import run
    from ...compiler.compile import compile_system
    from ...devicemodel.devices.circuit_noise import SimulatedCircuit
    from ...devicemodel.devices.spice import transient

    program, noisy = compile_system(system, device.fabric, device.technology, b=b, check=False), device.johnson_noise
    program = program.on(device.die)
    circuit = SimulatedCircuit(program, layout=device.layout)
    netlist = circuit.netlist(program.currents(b), np.zeros(program.size), noisy)
    swings = program.fabric.states > 1
    nodes = (*circuit.nodes, *(circuit.kept_nodes(netlist, noisy) if swings else ()))
    analysis = dataclasses.replace(transient(program, stop, noisy), nodes=tuple(dict.fromkeys(nodes)))
    currents = circuit.noise(float(analysis.step or 0.0)) if noisy else None
    result = run(netlist, analysis, seed=device.seed if noisy else None, timeout=device.timeout, currents=currents)
    thin = slice(None, None, max(1, len(result.time) // 2000))
    curves = [program.decode(result.voltages)]
    if swings:
        curves.append(circuit.course(result.voltages)[program.size :])
    # ngspice's first row is one step after the start, where all is at rest.
    x, *velocities = (np.pad(curve[:, thin], ((0, 0), (1, 0))) for curve in curves)
    return np.append(0.0, result.time[thin] / program.tau), x, velocities[0] if velocities else None
