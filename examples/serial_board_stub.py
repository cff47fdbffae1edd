"""A stub of a board on a serial line: four faulty analog cells behind a pseudo-terminal, speaking a protocol of four lines.

    python examples/serial_board_stub.py        prints the port, and serves it until it is interrupted

It stands for the firmware of a real board in `board_over_serial.py`. A line ends with ` *XX`, the sum of the bytes before it in
hexadecimal, modulo 256; numbers are codes, so that nothing is rounded on the way:

    ID                  -> ID serial=... cells=4 tau=1e-4 drive=1.0 drive_bits=12 read=2.0 read_bits=12 weight_codes=127
    W <16 codes>        -> OK             weights W, row by row, code / 127
    D <4 codes>         -> OK             discharge, then drive: the run begins
    R <seconds>         -> V <4 codes>    wait until then, and read

The faults of its die: weights 2 % off, offsets of 5 mV, 0.5 mV of noise; readings end at +-2 V. Its line has faults on request.
"""

from __future__ import annotations

import os
import select
import threading
import tty
from collections import deque

import numpy as np

CELLS, TAU, DRIVE, DRIVE_BITS, READ, READ_BITS, CODES = 4, 1e-4, 1.0, 12, 2.0, 12, 127
MISMATCH, OFFSET, NOISE = 0.02, 5e-3, 5e-4


def framed(text: str) -> bytes:
    """A line with its checksum."""
    return f"{text} *{sum(text.encode()) % 256:02X}\n".encode()


def unframed(line: bytes) -> str:
    """The text of a line. ValueError where its checksum is not that of its bytes, or it was cut."""
    text, star, found = line.decode("ascii", errors="replace").rstrip("\n").rpartition(" *")
    if not star or not line.endswith(b"\n") or found != f"{sum(text.encode()) % 256:02X}":
        raise ValueError(f"a line without its checksum: {line[:40]!r}")
    return text


def code_of(volts: np.ndarray, limit: float, bits: int) -> np.ndarray:
    """Nearest of 2^bits codes that are equally spaced from -limit to limit."""
    top = 2**bits - 1
    return np.clip(np.round((np.asarray(volts) / limit + 1) * top / 2), 0, top).astype(int)


def volts_of(code: np.ndarray, limit: float, bits: int) -> np.ndarray:
    """What codes stand for, V."""
    return (2 * np.asarray(code) / (2**bits - 1) - 1) * limit


class StubBoard:
    """The board, served by a thread.

    Args:
        seed: of the die. noise: V rms of a reading.

    Attributes:
        port: name of its terminal, for a serial port.
        faults: of the next replies, in order: "" (none), "silent", "short", "garbled", "nan", "far" (beyond the range), "gone" (the
            line is closed); when it is empty, there are none.
        replies: number of lines answered.
    """

    def __init__(self, seed: int = 1, noise: float = NOISE) -> None:
        self._end, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port, self.faults, self.replies = os.ttyname(self._slave), deque[str](), 0
        die = np.random.default_rng(seed)
        self._serial, self._noise, self._rng = f"stub-{seed}", noise, np.random.default_rng([seed, 1])
        self._errors = 1 + MISMATCH * die.standard_normal((CELLS, CELLS))
        self._offsets = OFFSET * die.standard_normal(CELLS)
        self._weights, self._drive = np.eye(CELLS), np.zeros(CELLS)
        self._unplugged = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Unplug it."""
        self._unplugged.set()
        self._thread.join()

    def _serve(self) -> None:
        held = b""
        while not self._unplugged.is_set():
            if not select.select([self._end], [], [], 0.05)[0]:
                continue
            held += os.read(self._end, 4096)
            while b"\n" in held and not self._unplugged.is_set():
                line, _, held = held.partition(b"\n")
                self._reply(line + b"\n")
        # Not before: another terminal might be given the same numbers while this thread reads.
        os.close(self._slave)
        os.close(self._end)

    def _reply(self, line: bytes) -> None:
        fault = self.faults.popleft() if self.faults else ""
        try:
            reply = framed(self._answer(unframed(line)))
        except (ValueError, np.linalg.LinAlgError) as error:
            reply = framed(f"ERR {error}")
        self.replies += 1
        if fault == "gone":
            self._unplugged.set()
        if fault in ("gone", "silent"):
            return
        if fault == "short":
            reply = reply[: len(reply) // 2] + b"\n"
        elif fault == "garbled":
            reply = bytes(byte ^ 0x11 if byte > 0x20 else byte for byte in reply)
        elif fault == "nan":
            reply = framed("V " + " ".join(["nan"] * CELLS))
        elif fault == "far":
            reply = framed("V " + " ".join(["99999"] * CELLS))
        os.write(self._end, reply)

    def _answer(self, text: str) -> str:
        command, *words = text.split()
        if command == "ID":
            return (
                f"ID serial={self._serial} cells={CELLS} tau={TAU} drive={DRIVE} drive_bits={DRIVE_BITS} read={READ} "
                f"read_bits={READ_BITS} weight_codes={CODES}"
            )
        if command == "W":
            self._weights = np.array([int(word) for word in words]).reshape(CELLS, CELLS) / CODES * self._errors
            return "OK"
        if command == "D":
            self._drive = volts_of(np.array([int(word) for word in words]), DRIVE, DRIVE_BITS)
            return "OK"
        if command == "R":
            # tau dv/dt = u - W v from rest; the time is simulated, not waited for.
            values, vectors = np.linalg.eig(self._weights)
            share = -np.expm1(-values * float(words[0]) / TAU) / values
            volts = (vectors @ (share * np.linalg.solve(vectors, self._drive.astype(complex)))).real
            volts += self._offsets + self._noise * self._rng.standard_normal(CELLS)
            return "V " + " ".join(map(str, code_of(volts, READ, READ_BITS)))
        raise ValueError(f"unknown command {command}")


if __name__ == "__main__":
    print(StubBoard().port, flush=True)
    threading.Event().wait()
