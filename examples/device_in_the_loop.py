"""A device of your own in the training loop: what it must answer, and what refined readings make of it.

    python examples/device_in_the_loop.py                 a class of fifty lines stands for your board
    python examples/device_in_the_loop.py --device spice  ngspice, with a netlist of op-amps, stands for it

`Board` below is a whole device: the optimizer programs a matrix, loads a drive, lets the board run and reads it. Hardware needs less:
`board_over_serial.py` has a driver of three calls, and the host side of all devices around it. Refined readings are corrected by their
digital residual b - A x, whatever is wrong with the board; `tg.Refined` says how far.

It prints, after eight steps of a small regression, how far the parameters are from those of exact natural gradient: some percent with bare
readings (five bits of conductance, gains 2 % off, an offset), 1e-3 with readings that are refined to a residual of 1e-2, 1e-7 with 1e-6.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor

import thermograd as tg
from thermograd.devicemodel import Device


class Board:
    """An array of cells that relax by dx/dt = -(A x - b), with the faults of a real one.

    Args:
        bits: of a conductance. gain: standard deviation of a row's gain. offset: of what a cell reads without a drive.
        seed: of the die.
    """

    def __init__(self, bits: int = 5, gain: float = 0.02, offset: float = 0.01, seed: int = 0) -> None:
        self.levels, self.gain, self.offset, self.seed = 2 ** (bits - 1), gain, offset, seed
        self.state = torch.zeros(0, dtype=torch.float64)
        self.loaded: tuple[Tensor, Tensor] | None = None

    def accepts(self, system: Any) -> bool:
        """Matrices that are written out; `Refined` writes others out for it."""
        return isinstance(system, tg.Dense)

    def solve(self, system: Any, b: Tensor, duration: float, x0: Tensor | None = None) -> tg.Solution:
        """Program the matrix with the board's resolution, load the drive, run, read."""
        die = torch.Generator().manual_seed(self.seed)
        matrix = system.dense().double()
        step = matrix.abs().max() / self.levels
        programmed = (matrix / step).round() * step
        programmed *= 1 + self.gain * torch.randn(len(b), 1, generator=die, dtype=torch.float64)
        drive = b.double() + self.offset * b.abs().max() * torch.randn(len(b), generator=die, dtype=torch.float64)
        if x0 is not None or len(self.state) != len(b):
            self.state = torch.zeros_like(drive) if x0 is None else x0.double()
        self.loaded = (programmed, drive)
        return self.evolve(duration, b.dtype)

    def evolve(self, duration: float, dtype: torch.dtype = torch.float64) -> tg.Solution:
        """Run on for `duration` time constants: here small steps of time, on hardware a wait."""
        assert self.loaded is not None
        programmed, drive = self.loaded
        if torch.linalg.eigvals(programmed).real.min() <= 0:
            return tg.Solution(torch.zeros_like(drive, dtype=dtype), tg.Outcome.UNSTABLE, seconds=0.0)
        rate = programmed.abs().sum(1).max()
        for _ in range(int(duration * rate) + 1):
            self.state = self.state - (programmed @ self.state - drive) * (duration / (int(duration * rate) + 1))
        return tg.Solution(self.state.to(dtype), tg.Outcome.OK, seconds=1e-6 * duration)

    def state_dict(self) -> dict[str, Any]:
        """What the next run depends on, for checkpoints."""
        return {"state": self.state.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up."""
        self.state = state["state"].clone()


def problem(seed: int = 0) -> tuple[torch.nn.Module, Tensor, Tensor]:
    """A network 1-8-1, and eight points of sin(3x)."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    x = torch.linspace(-1, 1, 8, dtype=torch.float64)[:, None]
    return model, x, torch.sin(3 * x)


def train(device: Device | None, steps: int, reading: str = "auto") -> tuple[Tensor, list[float | None]]:
    """Parameters, and residuals of the readings, after steps of TNGD on a device; None: of exact natural gradient."""
    model, x, y = problem()

    def closure() -> tuple[Tensor, Tensor]:
        out = model(x)
        return (out - y).square().mean() / 2, out

    if device is None:
        optimizer = tg.NGD(model.parameters(), lr=0.5, damping=0.1)
    else:
        optimizer = tg.TNGD(model.parameters(), lr=0.5, damping=0.1, duration=100.0, reading=reading, device=device)
    residuals = []
    for _ in range(steps):
        optimizer.step(closure)
        residuals.append(optimizer.last.residual if device is not None else None)
    return torch.cat([p.detach().flatten() for p in model.parameters()]), residuals


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Compare the readings; the distances by name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("board", "spice"), default="board")
    parser.add_argument("--steps", type=int, default=8, help="updates (default 8)")
    arguments = parser.parse_args(argv)
    if arguments.steps < 1:
        parser.error(f"--steps is {arguments.steps}: give at least 1")
    make = Board if arguments.device == "board" else lambda: tg.SpiceDevice("integrated", die=1)
    exact, _ = train(None, arguments.steps)
    found = {}
    for name, device, reading in (
        ("bare", make(), "bare"),
        ("refined to 1e-2", make(), "refined"),
        ("refined to 1e-6", tg.Refined(make(), tolerance=1e-6, method="fcg"), "auto"),
    ):
        parameters, residuals = train(device, arguments.steps, reading)
        found[name] = float((parameters - exact).norm() / exact.norm())
        worst = "not looked at" if residuals[0] is None else f"{max(residuals):.1e} at most"
        print(f"{name:16}  residual {worst:16}  distance from exact natural gradient {found[name]:.1e}")
    return found


if __name__ == "__main__":
    main()
