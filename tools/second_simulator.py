"""Random compiled programs in two simulators: `gnucap -b` and `ngspice -b` solve the texts of one netlist, each in its own dialect.

    .venv/bin/python -m tools.second_simulator --systems 40 --seed 0

Each system is a random fabric, technology, matrix, right-hand side and, where the fabric has dies, die, written flat or by cells. Compared
are the operating point, and a transient of five time constants from a random state, relative to the largest voltage.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thermograd.circuits.netlist.analyses import HasCards, OperatingPoint, Transient
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.program import AnalogProgram

GNUCAP, NGSPICE = shutil.which("gnucap"), shutil.which("ngspice")
FABRICS = ("rc", "dual_rail", "crossbar", "crossbar_single", "oscillator")
TECHNOLOGIES = ("ideal", "integrated", "breadboard")
TOLERANCE = {"op": 1e-6, "tran": 1e-4}
"""Largest difference, relative to the largest voltage: ngspice's own steps and tolerances, and rounding at a gain of 1e8."""
LIMIT = 20
"""Seconds for one run."""
_DROPPED = re.compile(
    r"what's this|no match|not specified|short circuit|did not converge|singular|syntax", re.IGNORECASE
)


class System(NamedTuple):
    """One random program and how it is run."""

    name: str
    program: AnalogProgram
    b: np.ndarray
    x0: np.ndarray
    hierarchical: bool


class Found(NamedTuple):
    """The largest relative difference of one analysis."""

    system: str
    analysis: str
    difference: float

    @property
    def agrees(self) -> bool:
        """Whether it is within the tolerance."""
        return self.difference <= TOLERANCE[self.analysis]


def random_system(generator: np.random.Generator, fabric: str, largest: int = 8) -> System:
    """A system of 1 to `largest` unknowns for this fabric."""
    n, name = int(generator.integers(1, largest + 1)), str(generator.choice(TECHNOLOGIES))
    vectors, _ = np.linalg.qr(generator.standard_normal((n, n)))
    matrix = (vectors * np.geomspace(0.1, 1.0, n)) @ vectors.T
    if fabric in ("rc", "dual_rail"):
        off = matrix * (1 - np.eye(n))
        off = -np.abs(off) if fabric == "rc" else off
        matrix = off + np.diag(np.abs(off).sum(axis=1) + generator.uniform(0.05, 1, n))
    technology = preset(name).replace(opamp__outputs=1 if fabric == "crossbar_single" else 2, opamp__output_limit=0.5)
    b = generator.standard_normal(n)
    program = compile_matrix((matrix + matrix.T) / 2, fabric, technology, b=b)
    if name != "ideal":
        program = program.on(Die(technology, int(generator.integers(1000))))
    x = np.linalg.solve(
        np.array(program.target if isinstance(program.target, np.ndarray) else program.target.toarray()), b
    )
    start = generator.standard_normal(n) * np.abs(x).max() / 2
    hierarchical = bool(generator.random() < 0.5)
    return System(
        f"{fabric}, {n} unknowns, {name}{', by cells' if hierarchical else ''}", program, b, start, hierarchical
    )


def by_gnucap(text: str, folder: Path) -> np.ndarray:
    """The rows that `gnucap -b` prints of a text in its dialect: time or temperature, then what `.print` names.

    Raises:
        RuntimeError: it has dropped something, which it says and goes on from, or printed no rows.
    """
    assert GNUCAP is not None
    (folder / "gnucap.cir").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [GNUCAP, "-b", "gnucap.cir"], cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    printed = done.stdout + done.stderr
    lines = done.stdout.splitlines()
    heads = [k for k, line in enumerate(lines) if line.startswith("#")]
    if done.returncode or _DROPPED.search(printed) or len(heads) != 1:
        raise RuntimeError(f"gnucap has not run the text as it stands:\n{printed[-2000:]}")
    return np.array([[float(word) for word in line.split()] for line in lines[heads[0] + 1 :] if line.strip()])


def by_ngspice(text: str, nodes: Sequence[str], folder: Path) -> np.ndarray:
    """The rows of the analysis that a text in ngspice's dialect states: time or index, then each node's voltage."""
    assert NGSPICE is not None
    control = f".control\nset numdgt=15\nrun\nset wr_singlescale\nwrdata rows.txt {' '.join(f'v({node})' for node in nodes)}\n.endc\n"
    (folder / "ngspice.cir").write_text(text.replace(".end\n", f"{control}.end\n"), encoding="utf-8")
    rows = folder / "rows.txt"
    rows.unlink(missing_ok=True)
    done = subprocess.run(
        [NGSPICE, "-b", "ngspice.cir"], cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    if not rows.exists():
        raise RuntimeError(f"ngspice has not run the text as it stands:\n{(done.stdout + done.stderr)[-2000:]}")
    return np.loadtxt(rows, ndmin=2)


def compare(system: System, folder: Path, altered: Callable[[str], str] = str) -> list[Found]:
    """Both analyses of a system.

    Args:
        altered: applied to gnucap's text, for controls.
    """
    program, nodes = system.program, system.program.nodes
    # Between the points that ngspice takes, lines.
    settling, amperes = program.settling_time, program.technology.opamp.output_limit / program.technology.resistors.unit
    tran = Transient(5 * settling, step=settling / 400, nodes=nodes, tolerance=1e-5, smallest_current=1e-9 * amperes)
    cases: dict[str, tuple[Netlist, HasCards]] = {
        "op": (program.netlist(system.b), OperatingPoint(nodes)),
        "tran": (program.netlist(system.b, system.x0), tran),
    }
    found = []
    for kind, (netlist, analysis) in cases.items():
        ours, theirs = (netlist.to_spice(dialect, analysis, system.hierarchical) for dialect in ("ngspice", "gnucap"))
        first = by_ngspice(ours, nodes, folder)
        second = by_gnucap(altered(theirs), folder)
        if kind == "op":
            one, other = first[-1, 1:], second[-1, 1:]
        else:
            # gnucap prints zeros for the state at t = 0.
            second = second[1:]
            one = np.column_stack([np.interp(second[:, 0], first[:, 0], column) for column in first[:, 1:].T])
            other = second[:, 1:]
        found.append(Found(system.name, kind, float(np.abs(one - other).max() / np.abs(one).max())))
    return found


def campaign(systems: int, seed: int = 0) -> list[Found]:
    """What is found of this many systems, fabric after fabric."""
    generator = np.random.default_rng(seed)
    found: list[Found] = []
    with tempfile.TemporaryDirectory() as folder:
        for k in range(systems):
            found += compare(random_system(generator, FABRICS[k % len(FABRICS)]), Path(folder))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 if a system is not the same in both."""
    parser = argparse.ArgumentParser("python -m tools.second_simulator", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--systems", type=int, default=40, help="how many (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the systems (default: 0)")
    given = parser.parse_args(arguments)
    if GNUCAP is None or NGSPICE is None:
        parser.error("the gnucap and ngspice commands are needed; see `make setup`")
    found = campaign(given.systems, given.seed)
    for one in found:
        if not one.agrees:
            sys.stdout.write(f"{one.system}: {one.analysis} differs by {one.difference:.3g}\n")
    for kind in TOLERANCE:
        of_kind = [one for one in found if one.analysis == kind]
        agreeing, largest = sum(one.agrees for one in of_kind), max(one.difference for one in of_kind)
        sys.stdout.write(f"{kind}: {agreeing} of {len(of_kind)} agree, largest difference {largest:.3g}\n")
    return 0 if all(one.agrees for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
