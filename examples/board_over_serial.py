"""A board on a serial port in the training loop: a driver of sixty lines, bare and refined readings, faults of the line.

    python examples/board_over_serial.py                        a stub behind a pseudo-terminal stands for the board
    python examples/board_over_serial.py --port /dev/ttyUSB0    a board that speaks the same protocol (`serial_board_stub.py` has it)

`SerialBoard` is what has to be written for hardware: three calls and a description (`BoardDriver`). `MeasuredDevice` makes a device of it,
with the host side of all devices: signal level, clipping, retries. The stub has four cells, weights of 8 bits that are 2 % off, offsets,
noise and 12-bit converters; every 50th line that it sends is broken. A network is trained on batches of four points, whose dual system has
four unknowns, and compared with exact natural gradient after the same steps. Needs pyserial (`pip install 'thermograd[lab]'`).

`device_in_the_loop.py` is the other way: a `Device` of one's own from scratch, without host, converters or a line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import thermograd as tg
from thermograd.devicemodel import BoardDescription, Device, MeasuredDevice

sys.path.insert(0, str(Path(__file__).parent))
from serial_board_stub import StubBoard, code_of, framed, unframed, volts_of

TIMEOUT = 1.0
"""s, that a reply may take."""


class SerialBoard:
    """The driver of the board: a line asked, a line answered.

    Args:
        port: such as "/dev/ttyUSB0".

    Raises:
        OSError: the port cannot be opened, or the board is gone. TimeoutError: no answer. ValueError: one that cannot be read.
    """

    def __init__(self, port: str, timeout: float = TIMEOUT) -> None:
        try:
            from serial import Serial
        except ImportError:
            raise tg.InputError("a board on a serial port needs pyserial: pip install 'thermograd[lab]'") from None
        self._serial = Serial(port, 115200, timeout=timeout, write_timeout=timeout)
        found = dict(word.split("=") for word in self._ask("ID", "ID"))
        self.description = BoardDescription(
            name=found["serial"],
            port=port,
            cells=int(found["cells"]),
            time_constant=float(found["tau"]),
            drive_limit=float(found["drive"]),
            drive_bits=int(found["drive_bits"]),
            reading_limit=float(found["read"]),
            reading_bits=int(found["read_bits"]),
            reading_noise=5e-4,
            weight_codes=int(found["weight_codes"]),
        )

    def program(self, weights: np.ndarray) -> None:
        """Send the codes of the matrix."""
        board = self.description
        assert board.weight_codes is not None
        self._send("W", np.round(weights / board.largest_weight * board.weight_codes).astype(int).ravel())

    def drive(self, volts: np.ndarray) -> None:
        """Send the DAC's codes: the run begins."""
        board = self.description
        assert board.drive_bits is not None
        self._send("D", code_of(volts, board.drive_limit, board.drive_bits))

    def read(self, seconds: float) -> np.ndarray:
        """The cells' voltages."""
        board = self.description
        assert board.reading_bits is not None
        codes = np.array([float(word) for word in self._ask(f"R {seconds!r}", "V")])
        return volts_of(codes, board.reading_limit, board.reading_bits)

    def close(self) -> None:
        """Let go of the port."""
        self._serial.close()

    def _send(self, command: str, codes: np.ndarray) -> None:
        self._ask(" ".join([command, *map(str, codes)]), "OK")

    def _ask(self, text: str, expected: str) -> list[str]:
        """The words of the reply behind the one that is expected."""
        # What a broken line left behind is not the answer.
        self._serial.reset_input_buffer()
        self._serial.write(framed(text))
        line = self._serial.read_until(b"\n")
        if not line.endswith(b"\n"):
            raise TimeoutError(f"{len(line)} bytes within {self._serial.timeout:g} s after {text.split()[0]}")
        first, *words = unframed(line).split()
        if first != expected:
            raise ValueError(f"{first} {' '.join(words)} after {text.split()[0]}"[:80])
        return words


def train(device: Device | None, steps: int, reading: str = "auto") -> tuple[Tensor, list[str]]:
    """Parameters of a network 1-8-1 after steps on batches of four points of sin(3x), and the outcomes; None: exact natural gradient."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    points = torch.linspace(-1, 1, 8, dtype=torch.float64)[:, None]
    if device is None:
        optimizer = tg.NGD(model.parameters(), lr=0.5, damping=0.1)
    else:
        optimizer = tg.TNGD(model.parameters(), lr=0.5, damping=0.1, duration=100.0, reading=reading, device=device)
    outcomes = []
    for step in range(steps):
        x = points[step % 2 :: 2]

        def closure(x: Tensor = x) -> tuple[Tensor, Tensor]:
            out = model(x)
            return (out - torch.sin(3 * x)).square().mean() / 2, out

        optimizer.step(closure)
        outcomes.append(optimizer.last.outcome.value)
    return torch.cat([p.detach().flatten() for p in model.parameters()]), outcomes


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Compare the readings; the distances by name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", help="of a real board; default: the stub's")
    parser.add_argument("--steps", type=int, default=16, help="updates (default 16)")
    arguments = parser.parse_args(argv)
    if arguments.steps < 1:
        parser.error(f"--steps is {arguments.steps}: give at least 1")
    exact, _ = train(None, arguments.steps)
    found = {}
    for name, reading, refined in (
        ("bare", "bare", None),
        ("refined to 1e-2", "refined", None),
        ("refined to 1e-6", "auto", {"tolerance": 1e-6, "method": "fcg"}),
    ):
        stub = StubBoard() if arguments.port is None else None
        if stub is not None:
            stub.faults.extend(([""] * 49 + ["garbled"]) * 100)
        driver = SerialBoard(arguments.port or stub.port)
        device = MeasuredDevice(driver)
        parameters, outcomes = train(
            device if refined is None else tg.Refined(device, **refined), arguments.steps, reading
        )
        found[name] = float((parameters - exact).norm() / exact.norm())
        good = sum(outcome == "ok" for outcome in outcomes)
        print(
            f"{name:16}  distance from exact natural gradient {found[name]:.1e}, {good} of {len(outcomes)} steps ok, "
            f"{len(device.faults)} replies asked for again"
        )
        driver.close()
        if stub is not None:
            stub.close()
    return found


if __name__ == "__main__":
    main()
