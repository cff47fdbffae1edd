"""What `ngspice -b` makes of a text as it stands: its plots, from the raw file that it writes, and what it complains about."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NGSPICE = shutil.which("ngspice")
#: s of CPU and of wall clock, and bytes a file: a text of a few lines needs a hundredth of each.
_CPU, _WALL, _FILE = 5, 20, 1 << 24
#: What no text of the fuzz may hold, whatever a mutation made of it: a card that runs a command or opens a file.
_UNSAFE = re.compile(
    r"control|incl|\.inc|\.lib|exec|shell|file|write|`|\.csparam|codemodel|pre_|spice_lib", re.IGNORECASE
)
#: Lines of ngspice's log that say how it works, not that it doubts the text.
_COMPLAINT = re.compile(
    r"warning|error|unrecogni[sz]ed|unknown|undefined|ignored|can't|cannot|not found|too (few|many)|illegal|bad |fatal|fail|"
    r"no such|unimplemented|dependency|singular",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"No compatibility mode|dc value used for op|using transient|nominal temperature|"
    r"has no value, DC 0 assumed|Using SPARSE|.*no simulations run",
    re.IGNORECASE,
)


OPERATING, AC, TRANSIENT, NOISE = (
    "Operating Point",
    "AC Analysis",
    "Transient Analysis",
    "Noise Spectral Density Curves",
)


@dataclass(frozen=True)
class Plot:
    """One analysis: `scale` (points,), and voltages of nodes, each (points,), by lower-case name."""

    scale: NDArray[np.complex128]
    values: dict[str, NDArray[np.complex128]]


@dataclass(frozen=True)
class Reference:
    """ngspice's answer.

    Attributes:
        plots: by their name: `OPERATING`, `AC`, `TRANSIENT`, `NOISE`.
        complaints: lines of its output that doubt the text.
        finished: whether it ended by itself, and well.
        log: all that it printed.
    """

    plots: dict[str, Plot]
    complaints: tuple[str, ...] = ()
    finished: bool = True
    log: str = field(default="", repr=False)


def is_safe(text: str) -> bool:
    """Whether ngspice may be given a text: nothing in it could run a command or name a file."""
    return _UNSAFE.search(text) is None


def simulate(data: bytes, folder: Path) -> Reference:
    """Run ngspice on a text, in a process of its own and in `folder`, whose files deck.cir and deck.raw it uses.

    Raises:
        ValueError: the text is not safe to run.
        FileNotFoundError: there is no ngspice command.
    """
    if NGSPICE is None:
        raise FileNotFoundError("the ngspice command is not installed; see `make setup`")
    if not is_safe(data.decode("latin-1")):
        raise ValueError("the text holds a card that runs a command or opens a file")
    deck, raw = folder / "deck.cir", folder / "deck.raw"
    deck.write_bytes(data)
    raw.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            [NGSPICE, "-b", "-r", raw.name, deck.name],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_WALL,
            check=False,
            preexec_fn=_limit,
        )
    except subprocess.TimeoutExpired:
        return Reference({}, ("it did not end",), False)
    log = (done.stderr + b"\n" + done.stdout).decode("utf-8", "replace")
    complaints = [line.strip() for line in log.splitlines() if _COMPLAINT.search(line) and not _HARMLESS.search(line)]
    plots = read_raw(raw.read_bytes()) if raw.exists() else {}
    return Reference(plots, tuple(complaints), done.returncode == 0, log)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU, _CPU))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read_raw(data: bytes) -> dict[str, Plot]:
    """The plots of a binary raw file by their name; of two of one name, the first."""
    found: dict[str, Plot] = {}
    place = 0
    while (start := data.find(b"Title:", place)) >= 0:
        mark = data.find(b"Binary:\n", start)
        if mark < 0:
            break
        head = data[start:mark].decode("latin-1")
        title = re.search(r"^Plotname: *(.+?) *$", head, re.MULTILINE)
        sizes = [re.search(rf"^No\. {what}: *(\d+)", head, re.MULTILINE) for what in ("Variables", "Points")]
        if title is None or sizes[0] is None or sizes[1] is None:
            break
        width, points = int(sizes[0][1]), int(sizes[1][1])
        names = [
            line.split("\t")[2] for line in head[head.index("Variables:\n") :].splitlines()[1:] if line[:1] == "\t"
        ]
        kind = np.dtype(np.complex128 if "complex" in head.split("Flags:")[1].split("\n")[0] else np.float64)
        begin = mark + len(b"Binary:\n")
        place = begin + width * points * kind.itemsize
        table = np.frombuffer(data[begin:place], dtype=kind).reshape(points, width).astype(np.complex128)
        values = {_plain(name): table[:, column] for column, name in enumerate(names)}
        found.setdefault(title[1], Plot(table[:, 0], values))
    return found


def _plain(name: str) -> str:
    """The name of a node whose voltage this is; other vectors keep theirs."""
    return name[2:-1] if name.startswith("v(") and name.endswith(")") else name
