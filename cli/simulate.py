"""The command that solves a system on a device: `simulate`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path, write_file, write_text
from .options import (
    CIRCUITS,
    PICTURES,
    Card,
    Damping,
    DeviceFabric,
    DeviceName,
    DieSeed,
    Drive,
    Extrapolate,
    FabricCommand,
    Json,
    Layout,
    Matrix,
    Page,
    Plot,
    ReadingName,
    Seed,
    TechnologyName,
    examples,
    seeds,
)
from .outputs import Progress, emit, end_with, note, progress, show_causes, show_solution, write_causes
from .sampling import FABRIC, sample

if TYPE_CHECKING:
    import numpy as np

    from ..devicemodel.device import Device, Solution

SETTLING_TIMES = 10.0
"""Default duration in slow time constants: the remaining settling error is e^-10."""
READINGS = ("auto", "refined", "bare")
FLOOR_ROUNDING = 1e-6
"""Share by which the smallest eigenvalue is taken smaller, for its rounding."""
CURVE_POINTS = 100

app = typer.Typer()


@app.command(
    cls=FabricCommand,
    rich_help_panel=CIRCUITS,
    epilog=examples(
        "thermograd simulate A.npy",
        "thermograd simulate A.npy --b b.npy --technology integrated --die 7 --plot settling.png",
        "thermograd simulate A.npy --duration inf --json",
        "thermograd simulate A.npy --technology integrated --die 7 --reading bare",
        "thermograd simulate A.npy --device surrogate --card card.json --die 7",
        "thermograd simulate M.npy --fabric spu --duration 10000 --plot error_bars.png",
        "thermograd simulate A.npy --technology integrated --die 7 --why --plot causes.png",
        "thermograd simulate A.npy --card card.json --why --dies 1,2,3,4,5 --layout --page causes.html",
    ),
)
def simulate(
    matrix: Matrix,
    b: Drive = None,
    fabric: DeviceFabric = None,
    technology: TechnologyName = None,
    damping: Damping = 0.0,
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration",
            help="Analog time in tau; inf is the operating point. Default: 10 slow time constants.",
            metavar="TAU",
        ),
    ] = None,
    reading: ReadingName = "auto",
    die: DieSeed = None,
    noise: Annotated[
        bool | None,
        typer.Option(
            "--noise/--no-noise",
            help="Noise of resistors and amplifiers; default: as in the technology, but none in a settled run in ngspice.",
        ),
    ] = None,
    seed: Seed = 0,
    device: DeviceName = None,
    card: Card = None,
    extrapolate: Extrapolate = None,
    layout: Layout = False,
    why: Annotated[
        bool, typer.Option("--why", help="The causes of the error: each taken out, alone, and one after the other.")
    ] = False,
    dies: Annotated[
        str | None, typer.Option("--dies", help="With --why: seeds of several dies, such as 1,2,3.", metavar="LIST")
    ] = None,
    page: Page = None,
    plot: Plot = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the solution: .npz or .csv.", metavar="FILE")] = None,
    json: Json = False,
) -> None:
    """Solve A x = b on a device (b: all ones unless given) and compare with the exact solution.

    A circuit that is read to its end is refined: programmed with a unit diagonal, read at +b and -b, and corrected twice by the digital
    residual. --reading bare takes one reading as it is. Exit code 1 when the outcome is not ok (clipped, unstable, not converged). With
    --extrapolate, a system outside of the card's range passes with a note.

    --fabric spu solves by sampling: the circuit's noise for --duration tau (default: 400 (n + 1)), A^-1 b from its covariance, each
    unknown with its standard error. It holds matrices without positive couplings; --device spice samples ngspice in place of the law.

    --why ranks what makes the error, of bare and of refined readings; --plot then draws that. In ngspice it takes some hundred simulations
    for each die: for larger systems give a --card.
    """
    from ..devicemodel.devices.spice import SpiceDevice
    from .hardware import open_device
    from .inputs import read_problem, read_vector

    problem = read_problem(matrix, damping)
    a, drive = problem.matrix(), problem.b if b is None else read_vector(b)
    given = [matrix, b, card, Path(technology or "")]
    picture, target = output_path(plot, PICTURES, given), output_path(out, (".npz", ".csv"), given)
    shown = output_path(page, (".html",), given)
    for option, value in (("--dies", dies), ("--page", page)):
        if value is not None and not why:
            raise InputError(f"{option} is about the causes of the error: add --why, or leave it out")
    if fabric == FABRIC:
        others = {"--card": card, "--extrapolate": extrapolate, "--layout": layout, "--why": why}
        others["--reading"] = reading != "auto"
        for option, given_one in others.items():
            if given_one:
                raise InputError(f"{option} does not apply to fabric {FABRIC}, which solves by sampling: leave it out")
        sample(a, drive, technology, die, device, noise, seed, duration, picture, target, json)
        return
    board = open_device(
        device or ("spice" if card is None else "surrogate"), technology, fabric, die, noise, card, seed, extrapolate,
        layout or None,
    )  # fmt: skip
    if noise and duration is not None and math.isinf(duration) and isinstance(board, SpiceDevice):
        raise InputError(
            "--noise with --duration inf: the settled run in ngspice is an operating point, which has none; give a finite --duration, "
            "or a --card"
        )
    if layout:
        _note_empty_layout(board)
    places = [die] if dies is None else seeds("--dies", dies)
    with progress() as report:
        report("simulating", 0, 1)
        run = _solve(board, a, drive, duration, reading)
        outcome = run.solution.outcome
        if picture is not None and outcome.readable and not why:
            run.plot(picture)
        report("simulating", 1, 1)
        causes = run.causes(places, seed, report) if why else None
    if target is not None and outcome.readable:
        run.write(target)
    of, files = f"{len(run.b)} unknowns", [target] if target is not None and outcome.readable else []
    if causes is not None:
        files += write_causes(causes, of, picture, shown)
    elif picture is not None and outcome.readable:
        files.append(picture)
    if json:
        emit(run.to_dict() | {"files": files} | ({"causes": causes} if why else {}))
    else:
        rows = [(i, f"{x:.6g}", f"{exact:.6g}") for i, (x, exact) in enumerate(zip(run.x, run.exact, strict=True))]
        show_solution(("", "x", "exact"), rows, run.summary())
        if causes is not None:
            show_causes(causes, of)
        for path in files:
            note(f"wrote {path}")
    end_with(outcome)


def _note_empty_layout(device: Device) -> None:
    """A layout that adds nothing is no error, but not what was asked for."""
    from ..compiler.layout.extraction import adds_parts
    from ..devicemodel.devices.circuit import CircuitDevice

    if isinstance(device, CircuitDevice) and not adds_parts(device.technology):
        note(
            f"--layout adds nothing: technology {device.technology.name} states no wires, switches, parasitic capacitances or DAC output"
        )


@dataclass(frozen=True, eq=False)
class Simulated:
    """One system solved on one device: damped matrix (n, n), b and exact solution (n,), duration in tau."""

    device: Device
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
        from ..devicemodel.devices.circuit import CircuitDevice

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
        from ..compiler.limitations import left_out
        from ..devicemodel.devices.circuit import CircuitDevice

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

    def causes(self, dies: list[int | None] | list[int], seed: int, report: Progress) -> dict[str, Any]:
        """`ErrorBudget.to_dict()` of this system on dies of this device's kind. InputError for the ideal device."""
        import torch

        from ..devicemodel.devices.spice import SpiceDevice
        from ..devicemodel.devices.surrogate import SurrogateDevice
        from ..devicemodel.error_budget.budget import Problem, error_budget
        from ..devicemodel.error_budget.hardware import Hardware
        from ..devicemodel.systems import Dense

        device, problem = self.device, Problem(Dense(torch.from_numpy(self.matrix)), torch.from_numpy(self.b))
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
        """x(t) from zero: node voltages for SPICE, readings after increasing durations for the other devices."""
        import numpy as np
        import torch

        from ..devicemodel.devices.spice import SpiceDevice
        from ..devicemodel.systems import Dense
        from ..report.figures.settling import settling_plot
        from ..report.figures.style import save

        stop = self.duration if math.isfinite(self.duration) else SETTLING_TIMES * self.slow_time
        if stop == 0:
            raise InputError("--plot needs a duration > 0: there is nothing to draw")
        if isinstance(self.device, SpiceDevice):
            time, x = _waveforms(self.device, self.matrix, self.b, stop)
            title = "Node voltages in problem units"
        else:
            system, b = Dense(torch.from_numpy(self.matrix)), torch.from_numpy(self.b)
            time = np.linspace(0.0, stop, CURVE_POINTS)
            x = np.array([self.device.solve(system, b, float(t), x0=torch.zeros_like(b)).x.numpy() for t in time]).T
            title = "Readings after increasing durations"
        save(settling_plot(time, x, self.exact, f"{title}, {len(self.b)} unknowns"), path)


def _solve(device: Device, matrix: np.ndarray, b: np.ndarray | None, duration: float | None, reading: str) -> Simulated:
    import numpy as np
    import torch

    from ..compiler.validate import validate_drive
    from ..devicemodel.host.refine import Refined, settles
    from ..devicemodel.systems import Dense

    if reading not in READINGS:
        raise InputError(f"--reading is {reading!r}: give one of {', '.join(READINGS)}")
    drive = np.ones(len(matrix)) if b is None else validate_drive(b, len(matrix))
    least = float(np.linalg.eigvalsh(matrix)[0])
    chosen = SETTLING_TIMES / least if duration is None else duration
    refined = reading == "refined" or (reading == "auto" and settles(chosen, least))
    # The command knows the smallest eigenvalue, as it knows the exact solution, to judge by.
    system = Dense(torch.from_numpy(matrix), floor=least * (1 - FLOOR_ROUNDING) if least > 0 else 0.0)
    solution = (Refined(device) if refined else device).solve(system, torch.from_numpy(drive), chosen)
    return Simulated(device, matrix, drive, np.linalg.solve(matrix, drive), float(chosen), 1.0 / least, solution)


def _waveforms(device: Any, matrix: np.ndarray, b: np.ndarray, stop: float) -> tuple[np.ndarray, np.ndarray]:
    """Time (T,) in tau and unknowns (n, T) of one ngspice transient on the device's die, from zero."""
    import dataclasses

    import numpy as np

    from ..circuits.ngspice.run import run
    from ..compiler.compile import compile_matrix
    from ..devicemodel.devices.circuit_noise import SimulatedCircuit
    from ..devicemodel.devices.spice import transient

    program, noisy = compile_matrix(matrix, device.fabric, device.technology, b=b, check=False), device.johnson_noise
    program = program.on(device.die)
    circuit = SimulatedCircuit(program, layout=device.layout)
    analysis = dataclasses.replace(transient(program, stop, noisy), nodes=circuit.nodes)
    netlist = circuit.netlist(program.currents(b), np.zeros(program.size), noisy)
    currents = circuit.noise(float(analysis.step or 0.0)) if noisy else None
    result = run(netlist, analysis, seed=device.seed if noisy else None, timeout=device.timeout, currents=currents)
    thin = slice(None, None, max(1, len(result.time) // 2000))
    time, x = result.time[thin] / program.tau, program.decode(result.voltages)[:, thin]
    return np.append(0.0, time), np.hstack(
        [np.zeros((len(b), 1)), x]
    )  # ngspice's first row is one step after the start
