"""`simulate --fabric spu`: A^-1 b from the sampled covariance of noise, with its error bar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...circuits.errors import InputError
from ...circuits.files import write_file, write_text
from ..hardware import read_technology
from ..outputs import emit, end_with, note, progress, show_solution

if TYPE_CHECKING:
    import numpy as np

    from ...circuits.technology.technology import Technology
    from ...devicemodel.device import Solution
    from ...devicemodel.sampling.covariance_device import CovarianceDevice

FABRIC = "spu"
DEVICES = {None: "CovarianceDevice", "spice": "SpiceCovarianceDevice"}
ERROR = 0.05
"""Relative error of S b for S = I, after the default duration, (n + 1) / ERROR^2 tau."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """One system whose solution was sampled: damped matrix (n, n), b, exact solution (n,), duration in tau."""

    device: CovarianceDevice
    matrix: np.ndarray
    b: np.ndarray
    exact: np.ndarray
    duration: float
    solution: Solution

    @property
    def x(self) -> np.ndarray:
        """The estimate, (n,)."""
        return self.solution.x.numpy()

    @property
    def error(self) -> np.ndarray:
        """Its standard errors, (n,); nan of a refined one, whose residuals say how far it is off."""
        import numpy as np

        found = self.solution.standard_error
        return np.full(len(self.b), math.nan) if found is None else found.numpy()

    def _relative(self, vector: np.ndarray) -> float:
        import numpy as np

        scale = float(np.linalg.norm(self.exact))
        return float(np.linalg.norm(vector)) / scale if scale > 0 else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        refined = self.solution.refinement
        return {
            "outcome": self.solution.outcome.value,
            "reading": "sampled" if refined is None else "sampled, refined",
            "relative_error": self._relative(self.x - self.exact),
            "relative_standard_error": self._relative(self.error),
            "x": self.x,
            "standard_error": self.error,
            "exact": self.exact,
            "unknowns": len(self.b),
            "duration_tau": self.duration,
            "interval_tau": self.device.spacing,
            "analog_seconds": self.solution.seconds,
            "attempts": self.solution.attempts,
            "noise_density": self.device.density,
            "not_modelled": list(self.solution.not_modelled),
            "device": type(self.device).__name__,
            "technology": self.device.technology.name,
            "die": self.device.die.seed,
            "fabric": FABRIC,
            **({} if refined is None else {"residuals": list(refined.residuals), "digital_products": refined.products}),
        }

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Heads and rows."""
        if self.solution.refinement is not None:
            pairs = zip(self.x, self.exact, strict=True)
            return ("", "x", "exact"), [(i, f"{x:.6g}", f"{exact:.6g}") for i, (x, exact) in enumerate(pairs)]
        columns = zip(self.x, self.error, self.exact, strict=True)
        return ("", "x", "standard error", "exact"), [
            (i, f"{x:.6g}", f"{error:.2g}", f"{exact:.6g}") for i, (x, error, exact) in enumerate(columns)
        ]

    def summary(self) -> str:
        """The result as text."""
        from ...compiler.limitations import left_out

        data, solution = self.to_dict(), self.solution
        die = [] if data["die"] is None else [f"die {data['die']}"]
        bar = (
            ""
            if math.isnan(data["relative_standard_error"])
            else f"; of its standard errors {data['relative_standard_error']:.3g}"
        )
        refined = solution.refinement
        residuals = ", ".join(f"{one:.2g}" for one in refined.residuals) if refined else ""
        return "\n".join(
            [
                f"relative error {data['relative_error']:.3g}, |x - A^-1 b| / |A^-1 b|{bar}",
                f"outcome {data['outcome']}, sampled every {data['interval_tau']:.3g} tau for {self.duration:.4g} tau, "
                f"{solution.seconds:.3g} s of analog time in {solution.attempts} run(s)",
                *([f"refined: |b - A x| / |b| {residuals} after each reading"] if refined else []),
                "on " + ", ".join([data["device"], data["technology"], FABRIC, *die]),
                f"not modelled: {left_out(solution.not_modelled)}",
            ]
        )

    def write(self, path: Path) -> None:
        """x, its standard error, the exact solution, A and b as .npz, or a table of the vectors as .csv."""
        import numpy as np

        if path.suffix.lower() == ".npz":
            arrays = {"x": self.x, "standard_error": self.error, "exact": self.exact, "A": self.matrix, "b": self.b}
            write_file(path, lambda temporary: np.savez(temporary, **arrays))  # type: ignore[arg-type]
            return
        columns = zip(self.b.tolist(), self.x.tolist(), self.error.tolist(), self.exact.tolist(), strict=True)
        rows = [f"{i},{b!r},{x!r},{error!r},{exact!r}" for i, (b, x, error, exact) in enumerate(columns)]
        write_text(path, "\n".join(["i,b,x,standard_error,exact", *rows, ""]))

    def plot(self, path: Path) -> None:
        """Deviations from the solution with their error bars."""
        from ...report.figures.settling import estimate_plot
        from ...report.figures.style import save

        title = f"Sampled for {self.duration:.4g} tau, {len(self.b)} unknowns"
        save(estimate_plot(self.x, self.error, self.exact, title), path)


def solve_by_sampling(
    matrix: np.ndarray,
    b: np.ndarray | None,
    technology: str | None,
    die: int | None,
    kind: str | None,
    noise: bool | None,
    seed: int,
    duration: float | None,
    refined: bool = False,
    card: Path | None = None,
) -> Sampled:
    """A^-1 b from a covariance.

    Args:
        matrix, b: damped A, and the right-hand side; None: ones.
        technology, die, seed: of the device. kind: "spice" for ngspice, None for the exact law.
        noise: Johnson noise; None: as the technology says.
        duration: tau; None: (n + 1) / ERROR^2. refined: whether residuals are sampled, too.
        card: of the fabric, whose figures stand for a technology's.

    Raises:
        InputError, UnrealisableError: another device; as `CovarianceDevice`.
    """
    import numpy as np
    import torch

    from ...compiler.validate import validate_drive
    from ...devicemodel.host.refine import Refined
    from ...devicemodel.sampling.covariance_device import CovarianceDevice
    from ...devicemodel.sampling.spice_covariance import SpiceCovarianceDevice
    from ...devicemodel.systems import Dense

    if kind not in DEVICES:
        raise InputError(
            f"--device {kind} does not sample the noise of fabric {FABRIC}: give spice for ngspice, or leave it out for the exact law"
        )
    drive = np.ones(len(matrix)) if b is None else validate_drive(b, len(matrix))
    parts = read_technology(technology or "ideal") if card is None else _technology_of(card, technology)
    if noise is not None:
        parts = parts.replace(thermal__johnson_noise=noise)
    made = SpiceCovarianceDevice if kind == "spice" else CovarianceDevice
    device = made(parts, die, seed=seed)
    chosen = (len(matrix) + 1) / ERROR**2 if duration is None else float(duration)
    solution = (Refined(device) if refined else device).solve(
        Dense(torch.from_numpy(matrix)), torch.from_numpy(drive), chosen
    )
    return Sampled(device, matrix, drive, np.linalg.solve(matrix, drive), chosen, solution)


def _technology_of(card: Path, technology: str | None) -> Technology:
    """A card's, with its figures."""
    from ...devicemodel.card import DeviceCard

    found = DeviceCard.read(card)
    if found.fabric != FABRIC:
        raise InputError(
            f"--card {card} is of fabric {found.fabric}, and not of {FABRIC}: leave --fabric out, or calibrate --fabric {FABRIC}"
        )
    if technology is not None:
        raise InputError(f"--technology {technology} beside --card {card}, which has one: leave one of them out")
    return found.circuit_technology()


def sample(
    a: np.ndarray,
    drive: np.ndarray | None,
    technology: str | None,
    die: int | None,
    device: str | None,
    noise: bool | None,
    seed: int,
    duration: float | None,
    refined: bool,
    card: Path | None,
    picture: Path | None,
    target: Path | None,
    json: bool,
) -> None:
    """The command, for the fabric whose solution is in its noise; see `solve_by_sampling`."""
    with progress() as report:
        report("sampling", 0, 1)
        run = solve_by_sampling(a, drive, technology, die, device, noise, seed, duration, refined, card)
        report("sampling", 1, 1)
    files = [path for path in (target, picture) if path is not None]
    if target is not None:
        run.write(target)
    if picture is not None:
        run.plot(picture)
    if json:
        emit(run.to_dict() | {"files": files})
    else:
        show_solution(*run.table(), run.summary())
        for path in files:
            note(f"wrote {path}")
    end_with(run.solution.outcome)
