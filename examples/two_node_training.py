"""The two-node board in a training loop that fits it: its matrix is wired in, and so is the curvature of the regression.

    python examples/two_node_training.py --data FOLDER      (seconds; FOLDER holds breadboard/, see docs/lab.md)

The board of `two_node_board.py`, driven by voltages in place of noise, settles to the solution of one matrix alone,

    tau dv/dt = u - W v,    W = R G,    tau = R C,    R = R1 = R2,

known to its user by the values printed on the parts. What the board does is simulated by the multimeter's values of them (1 % off in R, 7 %
in C), with an offset of 2 mV at each input and an oscilloscope of 8 bits. Regressions of two parameters are fitted by `TNGD`:

    its own     X^T X / N + damping is W: a step of bare readings has the parts' error, which the next step's gradient corrects in part
    ten times   ten times W: a multiple is as good
    neighbours  matrices at a distance from W, relative: the board as a preconditioner, whose readings are corrected by the residual of
                the matrix that is meant. A row of the table has the error of a bare reading, and the readings that 1e-6 takes.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.linalg import expm

import thermograd as tg
from thermograd.devicemodel import BoardDescription, MeasuredDevice

DAMPING = 0.2
OFFSET, BITS, RANGE = 2e-3, 8, 2.0


def board_module() -> Any:
    """`two_node_board.py`, by its path: the folder is no package."""
    path = Path(__file__).with_name("two_node_board.py")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


BOARD = board_module()


class TwoNodeDriver:
    """The board on the bench, as a driver: `program` is not called, since its matrix is wired.

    Args:
        nominal: values of the parts as they are sold, which describe it. real: those that it has.
    """

    def __init__(self, nominal: dict[str, float], real: dict[str, float], seed: int = 0) -> None:
        conductance, capacitance = BOARD.network(nominal)
        wired = nominal["R1"] * conductance
        self.description = BoardDescription(
            name="two-node RC board",
            port="bench",
            cells=2,
            time_constant=nominal["R1"] * float(capacitance[0, 0]),
            drive_limit=5.0,
            drive_bits=12,
            reading_limit=RANGE,
            reading_bits=BITS,
            wired=tuple(map(tuple, wired.tolist())),
            shows_overload=True,
        )
        self._conductance, self._capacitance = BOARD.network(real)
        self._inputs = np.diag([1 / real["R1"], 1 / real["R2"]])
        self._offsets = OFFSET * np.random.default_rng(seed).standard_normal(2)
        self._volts = np.zeros(2)

    def program(self, weights: np.ndarray) -> None:
        """Nothing: it is wired."""

    def drive(self, volts: np.ndarray) -> None:
        """Set both inputs, from rest."""
        self._volts = volts + self._offsets

    def read(self, seconds: float) -> np.ndarray:
        """Both nodes, by an oscilloscope."""
        left = expm(-np.linalg.solve(self._capacitance, self._conductance) * seconds)
        nodes = (np.eye(2) - left) @ np.linalg.solve(self._conductance, self._inputs @ self._volts)
        step = 2 * RANGE / (2**BITS - 1)
        return np.clip((np.round(nodes / step - 0.5) + 0.5) * step, -RANGE, RANGE)


def fit(matrix: np.ndarray, device: Any, steps: int, reading: str = "auto") -> torch.Tensor:
    """Two parameters after steps on a regression whose damped curvature is a matrix; device None: exact natural gradient."""
    root = np.linalg.cholesky(matrix - DAMPING * np.eye(2))
    x = torch.from_numpy(np.sqrt(2) * root.T)
    y = x @ torch.tensor([[1.0], [-2.0]], dtype=torch.float64) + torch.tensor([[0.1], [-0.1]], dtype=torch.float64)
    model = torch.nn.Linear(2, 1, bias=False).double()
    torch.nn.init.zeros_(model.weight)
    if device is None:
        optimizer: Any = tg.NGD(model.parameters(), lr=1.0, damping=DAMPING)
    else:
        options = {"lr": 1.0, "damping": DAMPING, "duration": 100.0, "system": "primal", "reading": reading}
        optimizer = tg.TNGD(model.parameters(), device=device, **options)

    def closure() -> tuple[torch.Tensor, torch.Tensor]:
        out = model(x)
        return (out - y).square().mean() / 2, out

    for _ in range(steps):
        optimizer.step(closure)
    return model.weight.detach().flatten().clone()


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The tables; their figures by name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="holds breadboard/ (default: $THERMOGRAD_DATA)")
    parser.add_argument("--steps", type=int, default=3, help="updates (default 3)")
    arguments = parser.parse_args(argv)
    try:
        folder = BOARD.find_data(arguments.data)
    except FileNotFoundError as error:
        parser.error(str(error))
    parts = {row["part"]: row for row in BOARD.read(folder / "components.csv")}
    nominal, real = ({name: float(row[key]) for name, row in parts.items()} for key in ("nominal", "measured"))
    driver = TwoNodeDriver(nominal, real)
    wired = np.array(driver.description.wired)
    found: dict[str, Any] = {}

    def refined(tolerance: float = 1e-6, method: str = "fcg") -> tg.Refined:
        device = MeasuredDevice(driver, extrapolate=True)
        return tg.Refined(device, tolerance=tolerance, rounds=50, method=method)

    def away(parameters: torch.Tensor, exact: torch.Tensor) -> float:
        return float((parameters - exact).norm() / exact.norm())

    print("distance from exact natural gradient")
    for name, matrix in (("its own", wired), ("ten times", 10 * wired)):
        for steps in sorted({1, arguments.steps}):
            exact = fit(matrix, None, steps)
            bare = away(fit(matrix, MeasuredDevice(driver), steps, "bare"), exact)
            found[name, steps] = bare, away(fit(matrix, refined(), steps), exact)
            print(f"   {name:10}  {steps} steps: bare {bare:.1e}, refined to 1e-6 {found[name, steps][1]:.1e}")
    print("neighbours: distance from W, error of a bare reading, readings to a residual of 1e-6")
    rng = np.random.default_rng(1)
    turn = rng.standard_normal((2, 2))
    turn = (turn + turn.T) / np.linalg.norm(turn + turn.T)
    drive = torch.tensor([1.0, -0.6], dtype=torch.float64)
    for distance in (0.0, 0.05, 0.1, 0.2, 0.4):
        matrix = torch.from_numpy(wired + distance * np.linalg.norm(wired) * turn)
        exact = torch.linalg.solve(matrix, drive)
        bare = away(MeasuredDevice(driver, extrapolate=True).solve(tg.Dense(matrix), drive, 100.0).x, exact)
        counts = {}
        for method in ("richardson", "fcg"):
            solution = refined(method=method).solve(tg.Dense(matrix), drive, 100.0)
            good = solution.outcome in (tg.Outcome.OK, tg.Outcome.EXTRAPOLATED)
            counts[method] = len(solution.refinement.residuals) if good else None
        found[distance] = bare, counts
        print(f"   {distance:10.2f}  bare {bare:.1e}   richardson {counts['richardson']}, fcg {counts['fcg']}")
    return found


if __name__ == "__main__":
    main()
