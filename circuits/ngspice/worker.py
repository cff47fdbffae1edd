"""The worker process: one libngspice, driven through PySpice, serving one job at a time over stdin and stdout.

Run as ``python -m thermograd.circuits.ngspice.worker LIBRARY`` by `pool`. A job's deck is text that `ngspice` generated from
checked numbers and names. The worker ends when its stdin does. Its working directory is private; the noise files go
there. Everything that C code prints on file descriptor 1 is sent to stderr, so that it cannot corrupt the frames.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .protocol import read_frame, write_frame

Array = NDArray[np.float64]
CHANNELS = 15  # at most, per filesource: time and 15 numbers fit the 511 characters of a line that ngspice reads
#: What a healthy load prints. Anything else is a complaint: ngspice goes on after most errors.
_HARMLESS_AT_LOAD = ("Note: No compatibility mode", "Note: can't find init file", "Circuit:", "Using ", "Compatibility")
#: What makes a run's vectors worthless although ngspice delivers them: a missing value taken as 1 mOhm, and an operating
#: point that every method failed to find before the last one, a pseudo-transient, stopped somewhere.
_INVALIDATING = ("resistance to low", "source stepping failed")
# The search for an operating point prints a line for each of up to a hundred steps; what came of it is in other lines.
_STEPPING = ("Trying gmin", "Note: One successful", "Supplies reduced")


class Rejected(Exception):
    """ngspice rejected the job; the text holds its words. `kind` names the exception for the caller."""

    def __init__(self, message: str, kind: str = "SimulationError") -> None:
        super().__init__(message)
        self.kind = kind


class Simulator:
    """libngspice through PySpice's `NgSpiceShared`, with the traps of PySpice 1.5 and ngspice handled."""

    def __init__(self, library: str) -> None:
        from PySpice.Spice.NgSpice.Shared import NgSpiceCommandError, NgSpiceShared, ffi

        NgSpiceShared.LIBRARY_PATH = library
        logging.disable(
            logging.CRITICAL
        )  # PySpice logs harmless notes as errors; what ngspice says is kept by `printed`
        try:
            self.shared = NgSpiceShared.new_instance()
        except OSError as error:
            raise Rejected(f"{library} cannot be loaded: {error}", "SimulatorMissing") from None
        self._command_error, self._ffi = NgSpiceCommandError, ffi
        self._deck: list[Any] = []
        self.version = str(self.shared.ngspice_version)
        self.log: list[str] = []
        # BSIM4 evaluates its transistors on two threads unless told otherwise; they wait for each other actively, some 10 ms an iteration
        # where other processes use the cores (measured). Our parallelism is processes.
        self.command("set num_threads=1")
        self.log = []

    def command(self, text: str) -> list[str]:
        """Run a command; the lines printed. PySpice raises on any stderr line, so its verdict is not used."""
        try:
            self.shared.exec_command(text)
        except self._command_error:
            pass  # judged by the return code (a NameError of PySpice's, not caught here) and by the vectors
        except NameError as error:
            raise Rejected(f"ngspice command {text!r} failed: {error}; it printed: {self._printed_line()}") from None
        return self.printed()

    def printed(self) -> list[str]:
        """The lines that the last call printed, appended to the job's log."""
        lines = self.shared.stdout.splitlines() + self.shared.stderr.splitlines()
        lines = [line.strip() for line in lines if line.strip() and not line.startswith("Reference value")]
        self.log.extend(lines)
        return lines

    def _printed_line(self) -> str:
        return " | ".join(self.printed()) or "nothing"

    def load(self, deck: str, noisy: bool) -> None:
        """Load a deck; Rejected if ngspice complains about anything at all."""
        # As PySpice's load_circuit does it, but the lines live until the job is over: freed before the run, they leave holes in the
        # heap that ngspice's matrix is scattered over, and a transient takes a tenth longer (measured).
        lines = [*filter(None, deck.splitlines()), ""]  # ngspice 33 wants an empty one at the end
        self._deck = [*(self._ffi.new("char[]", line.encode()) for line in lines), self._ffi.NULL]
        self.shared.clear_output()
        failed = self.shared._ngspice_shared.ngSpice_Circ(self._ffi.new("char *[]", self._deck))
        if failed:
            raise Rejected(f"ngspice could not load the netlist; it printed: {self._printed_line()}")
        complaints = [line for line in self.printed() if not line.startswith(_HARMLESS_AT_LOAD)]
        if not complaints:
            return
        words = " | ".join(complaints)
        # some versions name the code model that is missing, ngspice 39 the .model line that needs it
        if noisy and any(name in words.lower() for name in ("filesource", "definition of model thermograd_noise")):
            raise Rejected(
                f"ngspice has no 'filesource' code model (analog.cm of XSPICE), which noise needs: {words}. "
                "Install it: apt-get install libngspice0 ngspice, or run without noise",
                "SimulatorMissing",
            )
        raise Rejected(f"ngspice did not accept the netlist; it printed: {words}")

    def vectors(self, plot: str) -> dict[str, Array]:
        """All vectors of a plot, by lower-case name, ``v(x)`` written as ``x``; the imaginary part of x is ``imag(x)``."""
        found = {}
        for name, vector in self.shared.plot(None, plot).items():
            low = name.lower()
            low = low[2:-1] if low.startswith("v(") else low
            found[low] = np.real(vector._data)
            if np.iscomplexobj(vector._data):
                found[f"imag({low})"] = np.imag(vector._data)
        return found

    def plots(self) -> list[str]:
        """Names of the plots of this job, newest first."""
        return [name for name in self.shared.plot_names if name != "const"]

    def clean(self) -> None:
        """Free everything that the job left behind; without it each run would leak its vectors and its circuit."""
        self.command("destroy all")
        self.command("remcirc")
        self.log, self._deck = [], []


def serve(simulator: Simulator, job: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
    """Run one job; header and arrays of the answer."""
    files: list[str] = []
    try:
        if arrays:
            files = write_noise(arrays[0], job["step"])
        simulator.load("\n".join(job["deck"]), noisy=bool(files))
        simulator.command("run")
        plots = simulator.plots()
        log = list(simulator.log)
        words = " | ".join(line for line in log if not line.startswith(_STEPPING) or "failed" in line) or "nothing"
        if not plots or any(phrase in line for line in log for phrase in _INVALIDATING):
            raise Rejected(f"ngspice produced no result; it printed: {words}")
        found: dict[str, Array] = {}
        for plot in plots:  # a noise analysis has its totals in one plot and its spectra in the other
            found.update(simulator.vectors(plot))
        missing = [name for name in job["vectors"] if name not in found]
        if missing:
            raise Rejected(f"ngspice returned no vector {', '.join(missing[:5])}; it printed: {words}")
        wanted = [found[name] for name in job["vectors"]]
        if not all(vector.size for vector in wanted):
            raise Rejected(f"ngspice returned no points; it printed: {words}")
        return {"ok": True, "log": log}, wanted
    finally:
        simulator.clean()
        for file in files:
            os.unlink(file)


def padding(channels: int) -> int:
    """Silent channels to add: an even count can overrun filesource's buffer."""
    return 1 - channels % 2


def write_noise(samples: Array, step: float) -> list[str]:
    """Write (steps, nodes) samples as filesource files of an odd number of channels each; the names."""
    steps, nodes = samples.shape
    times = np.arange(steps) * step
    names = []
    for number, first in enumerate(range(0, nodes, CHANNELS)):
        part = samples[:, first : first + CHANNELS]
        row = "%.15e" + " %.10e" * part.shape[1] + " 0" * padding(part.shape[1]) + "\n"
        name = f"noise{number}.txt"
        with open(name, "w", encoding="ascii") as file:
            file.writelines(row % tuple(line) for line in np.column_stack([times, part]).tolist())
        names.append(name)
    return names


def follow_owner(owner: int) -> None:
    """End the process when its owner is gone: in the middle of a simulation nobody reads stdin."""
    while os.getppid() == owner:
        time.sleep(1.0)
    os._exit(1)


def main(library: str) -> None:
    """Serve jobs until stdin ends."""
    threading.Thread(target=follow_owner, args=(os.getppid(),), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which then closes our stdin
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        simulator = Simulator(library)
    except Rejected as rejected:
        write_frame(output, {"ok": False, "kind": rejected.kind, "message": str(rejected)})
        return
    write_frame(output, {"ok": True, "version": simulator.version})
    while True:
        try:
            job, arrays = read_frame(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer, results = serve(simulator, job, arrays)
        except Rejected as rejected:
            answer, results = {"ok": False, "kind": rejected.kind, "message": str(rejected)}, []
        write_frame(output, answer, results)


if __name__ == "__main__":
    main(sys.argv[1])
