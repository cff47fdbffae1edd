"""Noise of a compiled board's own text in plain ngspice: linear amplifiers against the macromodel.

    python benchmarks/circuits/emitted_noise.py                            (1 s)

A random matrix of condition 10 is compiled for each technology, with `.noise` of the first unknown, 1 Hz to 100 MHz, in place of `.op`.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from thermograd import compile_matrix
from thermograd.circuits import AmplifierCell, Macromodel
from thermograd.compiler import AnalogProgram

SIZE, CONDITION = 6, 10.0


def main() -> None:
    generator = np.random.default_rng(3)
    vectors, _ = np.linalg.qr(generator.standard_normal((SIZE, SIZE)))
    matrix, b = (vectors * np.geomspace(1 / CONDITION, 1.0, SIZE)) @ vectors.T, generator.standard_normal(SIZE)
    for technology, fabric in (("breadboard", "crossbar_single"), ("integrated", "crossbar")):
        program = compile_matrix((matrix + matrix.T) / 2, fabric, technology, b=b)
        for name, cell in (("linear, one pole", None), ("macromodel", Macromodel(program.technology.opamp))):
            print(f"{technology:12}{fabric:17}{name:18}{1e6 * noise(program, b, cell):8.2f} uV rms")


def noise(program: AnalogProgram, b: np.ndarray, amplifier: AmplifierCell | None) -> float:
    """Total noise that `ngspice -b` finds at the first unknown, V rms."""
    text = program.to_spice(b, amplifier=amplifier)
    output, source = (
        ",".join(node for node in program.readouts[0] if node != "0"),
        next(iter(program.fabric.drives(program.parts)[0])),
    )
    text = text.replace(".op\n", f".noise v({output}) {source} dec 20 1 100meg\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "board.cir"
        path.write_text(
            text.replace(".end\n", ".control\nrun\nsetplot noise2\nprint onoise_total\n.endc\n.end\n"), encoding="utf-8"
        )
        done = subprocess.run(["ngspice", "-b", str(path)], capture_output=True, text=True, check=False)
    found = re.search(r"onoise_total = (\S+)", done.stdout)
    if found is None:
        raise RuntimeError(done.stdout + done.stderr)
    return float(found[1])


if __name__ == "__main__":
    main()
