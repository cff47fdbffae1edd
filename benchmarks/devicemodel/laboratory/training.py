"""Train on a measured board's card, and on the board itself as ngspice has it: do they end alike?

    python benchmarks/devicemodel/laboratory/training.py        (some two minutes of one core)

Boards are those of `boards.py`: five of two and five of four nodes, parts of 1 %, each measured and fitted. Its matrix is wired in,

    W = R G    (the conductance matrix by the resistor to the source, nominal),

and so is the damped curvature of a least-squares problem of as many parameters: the *nominal* W. TNGD fits it in four steps: on the card
(`LaboratoryCard.fixed`, as the preconditioner that a wired board is), on the board itself, behind `MeasuredDevice` with a driver that asks
ngspice, and, as control, on the card of the next board. Readings are bare, or refined to a residual of 1e-6.

The distance is that of the parameters from exact natural gradient's. Bare, it is what the board's parts do, and a card that knows them must
have the same, board by board: R^2 of ln(distance) over the boards, and the rms difference of the parameters by card and by board over that
distance.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import boards as lab

import thermograd as tg
from thermograd.circuits import Transient, VoltageSource, run
from thermograd.devicemodel import BoardDescription, LaboratoryCard, MeasuredDevice, calibrate_from_measurements
from thermograd.devicemodel.laboratory.fixed_board import FixedBoard

DAMPING, STEPS, TAU = 0.2, 4, 100.0
TOLERANCE = 1e-6


class NgspiceDriver:
    """A board in ngspice, as a driver would have it on a bench; its user knows the matrix that was fitted."""

    def __init__(self, board: lab.Board, card: LaboratoryCard, name: str) -> None:
        nominal = lab.Board.nominal(len(board.source))
        self.circuit = lab.netlist(board)
        self.description = BoardDescription(
            name=name,
            port="ngspice",
            cells=len(board.source),
            time_constant=float(nominal.source[0] * nominal.capacitor.max()),
            drive_limit=1.0,
            reading_limit=1.0,
            wired=tuple(map(tuple, fixed_board(card).law.matrix.tolist())),
            shows_overload=True,
        )
        self.scaling = fixed_board(card).law.input_scaling
        self.volts = np.zeros(len(board.source))

    def program(self, weights: np.ndarray) -> None:
        """Nothing: it is wired."""

    def drive(self, volts: np.ndarray) -> None:
        """Set the sources, from rest, scaled as the card says."""
        self.volts = volts / self.scaling

    def read(self, seconds: float) -> np.ndarray:
        """The nodes after a time."""
        circuit = tg.Netlist(self.circuit.title, temperature=self.circuit.temperature)
        levels = dict(zip((f"V{i + 1}" for i in range(len(self.volts))), self.volts.tolist(), strict=True))
        for part in self.circuit:
            level = levels.get(part.name)
            circuit.add(
                part
                if level is None
                else dataclasses.replace(part, dc=level)
                if isinstance(part, VoltageSource)
                else part
            )
        found = run(circuit, Transient(stop=seconds))
        return np.array([found.voltages[f"n{i + 1}"][-1] for i in range(len(self.volts))])


class Scaled:
    """The board behind the host that its card's device has: drive and reading of each cell are scaled to the diagonal that is asked for."""

    def __init__(self, board: lab.Board, card: LaboratoryCard, name: str) -> None:
        self.device = MeasuredDevice(NgspiceDriver(board, card, name), extrapolate=True)
        self.matrix = torch.from_numpy(fixed_board(card).law.matrix)

    def accepts(self, system: Any) -> bool:
        """As the device."""
        return self.device.accepts(system)

    def solve(self, system: Any, b: torch.Tensor, duration: float, x0: torch.Tensor | None = None) -> tg.Solution:
        """D B D x = b by B y = D^-1 b, x = D^-1 y."""
        scale = (system.diagonal() / self.matrix.diagonal()).sqrt()
        found = self.device.solve(tg.Dense(self.matrix), b / scale, duration, None if x0 is None else x0 * scale)
        return dataclasses.replace(found, x=found.x / scale)

    def evolve(self, duration: float) -> tg.Solution:
        """Not needed: runs are settled."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """That of the device."""
        return self.device.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """That of the device."""
        self.device.load_state_dict(state)


def wired(nodes: int) -> np.ndarray:
    """W, (n, n), of nominal parts."""
    board = lab.Board.nominal(nodes)
    return board.source[0] * board.conductances()


def fixed_board(card: LaboratoryCard) -> FixedBoard:
    """Of a card of this benchmark."""
    assert isinstance(card.board, FixedBoard)
    return card.board


def card_of(board: lab.Board, seed: int) -> LaboratoryCard:
    """Measure it, fit it, make a card of it."""
    nodes = len(board.source)
    rng = np.random.default_rng([seed, nodes, 1])
    tables = [lab.steps(board, rng, 1.0), lab.spectra(board, rng, 1.0), lab.covariances(board, rng, 1.0)]
    model = lab.netlist(lab.Board.nominal(nodes))
    found = calibrate_from_measurements(model, list(board.by_name()), tables, starts=0)
    inputs, outputs = [f"V{i + 1}" for i in range(nodes)], [f"n{i + 1}" for i in range(nodes)]
    return LaboratoryCard.fixed(found, model, inputs, outputs)


def trained(nodes: int, device: Any, reading: str = "auto") -> tuple[np.ndarray, float]:
    """Parameters and loss after the steps; device None: exact natural gradient."""
    root = np.linalg.cholesky(wired(nodes) - DAMPING * np.eye(nodes))
    x = torch.from_numpy(np.sqrt(nodes) * root.T)
    target = torch.linspace(1.0, -2.0, nodes, dtype=torch.float64)[:, None]
    y = x @ target + 0.1 * torch.cos(torch.arange(nodes, dtype=torch.float64))[:, None]
    model = torch.nn.Linear(nodes, 1, bias=False).double()
    torch.nn.init.zeros_(model.weight)
    if device is None:
        optimizer: Any = tg.NGD(model.parameters(), lr=1.0, damping=DAMPING)
    else:
        options: dict[str, Any] = {
            "lr": 1.0,
            "damping": DAMPING,
            "duration": TAU,
            "system": "primal",
            "reading": reading,
        }
        optimizer = tg.TNGD(model.parameters(), device=device, **options)

    def closure() -> tuple[torch.Tensor, torch.Tensor]:
        out = model(x)
        return (out - y).square().mean() / 2, out

    for _ in range(STEPS):
        optimizer.step(closure)
    return model.weight.detach().numpy().ravel().copy(), float(closure()[0].detach())


class Trained(NamedTuple):
    """Of one board: (parameters, loss) on each device, bare and refined; exact natural gradient's."""

    exact: tuple[np.ndarray, float]
    bare: dict[str, tuple[np.ndarray, float]]
    refined: dict[str, tuple[np.ndarray, float]]


def compare(nodes: int, seeds: range) -> list[Trained]:
    """Train on each board, its card, and the next board's."""
    made = [lab.Board.nominal(nodes).made(np.random.default_rng([seed, nodes, 2])) for seed in seeds]
    cards = [card_of(board, seed) for board, seed in zip(made, seeds, strict=True)]
    rows, exact = [], trained(nodes, None)
    for place, board in enumerate(made):

        def devices(place: int = place, board: lab.Board = board) -> dict[str, Any]:
            other = cards[(place + 1) % len(cards)]
            return {
                "card": cards[place].make_device(seed=1, preconditioner=True, extrapolate=True),
                "board": Scaled(board, cards[place], f"board {place}"),
                "another card": other.make_device(seed=1, preconditioner=True, extrapolate=True),
            }

        bare = {name: trained(nodes, device, "bare") for name, device in devices().items()}
        refined = {
            name: trained(nodes, tg.Refined(device, tolerance=TOLERANCE, method="fcg"))
            for name, device in devices().items()
        }
        rows.append(Trained(exact, bare, refined))
    return rows


def agreement(rows: list[Trained], name: str) -> tuple[float, float]:
    """(R^2 of ln(distance) against the board's, rms difference to the board's parameters over the rms distance)."""
    away = {key: np.array([np.linalg.norm(row.bare[key][0] - row.exact[0]) for row in rows]) for key in ("board", name)}
    board, found = np.log(away["board"]), np.log(away[name])
    explained = 1 - float(((found - board) ** 2).sum() / ((board - board.mean()) ** 2).sum())
    apart = np.array([np.linalg.norm(row.bare[name][0] - row.bare["board"][0]) for row in rows])
    return explained, float(np.sqrt((apart**2).mean() / (away["board"] ** 2).mean()))


def main(argv: list[str] | None = None) -> dict[int, list[Trained]]:
    """Print the table; the trainings by number of nodes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", type=int, default=5, help="of each kind (default 5)")
    parser.add_argument("--nodes", default="2,4", help="kinds of boards (default 2,4)")
    parser.add_argument("--precise", action="store_true", help="measure ten times as precisely")
    arguments = parser.parse_args(argv)
    if arguments.precise:
        lab.READING, lab.AVERAGES, lab.SAMPLES = lab.READING / 10, 100 * lab.AVERAGES, 100 * lab.SAMPLES
    found = {}
    names = ("nodes", "trained on", "bare: distance from exact", "R^2", "difference to the board's", "bare: loss")
    print(f"| {' | '.join(names)} | refined: distance, most | refined: loss |")
    print("|---|---|---|---|---|---|---|---|")
    for nodes in (int(text) for text in arguments.nodes.split(",")):
        rows = found[nodes] = compare(nodes, range(arguments.boards))
        scale = float(np.linalg.norm(rows[0].exact[0]))
        for name in ("board", "card", "another card"):
            away = [np.linalg.norm(row.bare[name][0] - row.exact[0]) / scale for row in rows]
            close = [np.linalg.norm(row.refined[name][0] - row.exact[0]) / scale for row in rows]
            bare, refined = (np.array([getattr(row, way)[name][1] for row in rows]) for way in ("bare", "refined"))
            explained, apart = agreement(rows, name) if name != "board" else (1.0, 0.0)
            print(
                f"| {nodes} | {name} | {np.mean(away):.2e} +- {np.std(away, ddof=1):.1e} | {explained:.4f} | {apart:.3f} "
                f"| {bare.mean():.6e} +- {bare.std(ddof=1):.1e} | {max(close):.1e} | {refined.mean():.6e} +- {refined.std(ddof=1):.1e} |"
            )
        print(f"| {nodes} | exact natural gradient | 0 | | | {rows[0].exact[1]:.6e} | 0 | {rows[0].exact[1]:.6e} |")
    return found


if __name__ == "__main__":
    main()
