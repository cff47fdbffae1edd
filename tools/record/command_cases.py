"""Cases of the command line: what it says, its exit code, and the files that it writes."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from thermograd.cli.main import main as thermograd

from .inputs import ROOT, UNEVEN, card_of, factors, system_of
from .store import Case, Items

COMMANDS = {
    "help": "--help",
    "technologies": "technology --json",
    "technology": "technology integrated --out out/my.toml",
    "compile": "compile A.npy --technology integrated --rounding solution --tile 2 --picture out/a.svg --out out/a",
    "compile_json": "compile A.npy --b b.npy --technology integrated --fabric crossbar --extracted --out out/a --json",
    "compile_cells": "compile A.npy --dialect ltspice --hierarchical --equations --out out/cell",
    "compile_programs": "compile A.npy --technology integrated --fabric crossbar --rounding stochastic --programs 2 "
    "--out out/m",
    "compile_factors": "compile ggn.npz --fabric factored --json",
    "compile_large": "compile L.mtx --tile 8 --fan-out 4 --picture out/l.svg --json",
    "simulate": "simulate A.npy --b b.npy --technology integrated --die 7 --out out/x.csv --plot out/x.svg --json",
    "simulate_card": "simulate A.npy --device surrogate --card card.json --die 7 --seed 2 --extrapolate --json",
    "simulate_why": "simulate A.npy --card card.json --die 7 --extrapolate --why --page out/why.html --json",
    "error_budget": "error-budget --card card.json --batch 1 --at 1,2 --dies 1 --rounds 1 --out out/causes.md --plot out/c.svg --json",
    "simulate_ideal": "simulate A.npy --device ideal --duration 3",
    "cost": "cost --parameters 100k --batch 32 --outputs 20 --sweep rate=1G:1000T --plot out/rate.svg --json",
    "cost_program": "compile A.npy --technology integrated --fabric crossbar --out out/a && "
    "cost --program out/a.json --json",
    "characterise": "characterise two_stage.cir --subckt two_stage --inputs inp,inn --outputs out --supply vdd=0.9 "
    "--supply vss=-0.9 --load-resistance 46k --out out/amplifier.toml --plot out/amplifier.svg --json",
    "cost_dual": "cost --parameters 100k --batch 32 --outputs 20 --layout dual --technology integrated",
    "cost_rounds": "cost --parameters 29k --batch 64 --outputs 9 --layout dual --technology integrated --rounds 0,1,2,4",
    "calibrate": "calibrate --quick --fabric dual_rail --workers 1 --out out/card.json --json",
    "train": "train --optimizer tngd --device surrogate --card card.json --die 1 --extrapolate --steps 3 "
    "--out out/t.json --plot out/t.svg --json",
    "train_adam": "train --optimizer adam --steps 5 --checkpoint out/run.pt",
    "study": "study adc --card card.json --levels 3,8 --dies 1 --steps 2 --workers 1 --out out/study --json",
    "landscape": "landscape --optimizers sgd,tngd:duration=2 --steps 3 --points 3 --samples 50 --plot out/l.svg "
    "--out out/l.npz --json",
    "wrong": "compile A.npy --fabric wires",
    "wrong_file": "simulate none.npy",
}
SCRUBBED = {
    r"\b[0-9a-f]{24,64}\b": "DIGEST",
    r'"(digital_seconds|device_seconds|processor_seconds)": (\[[^\]]*\]|[^\n,]*)': r'"\1": "CLOCK"',
    r"[-+.e\d]+ s, device simulated in [-+.e\d]+ s": "CLOCK",
    r'"(simulator|thermograd)": "[^"]*"': r'"\1": "VERSION"',
}


def commanded(arguments: str) -> Items:
    """A command, or several joined by &&, in a folder with its inputs."""
    a, b = system_of("dual_rail", 3, seed=1)
    low = factors()[0]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        np.save("A.npy", a)
        np.save("b.npy", b)
        np.savez("ggn.npz", allow_pickle=False, J=low.J.numpy(), H=np.asarray(low.H), damping=0.3)
        Path("L.mtx").write_text(path_matrix(25), encoding="utf-8")
        card_of(UNEVEN, "crossbar").write("card.json")
        amplifier = (ROOT / "examples/amplifiers/two_stage.cir").read_text(encoding="utf-8")
        Path("two_stage.cir").write_text(amplifier, encoding="utf-8")
        for k, line in enumerate(arguments.split(" && ")):
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
                code = thermograd(line.split())
            text = f"exit {code}\n{out.getvalue()}\n--- stderr\n{err.getvalue()}"
            yield f"output{k or ''}.txt", scrubbed(text, folder)
        texts = []
        for path in sorted(Path("out").rglob("*.*")):
            name = f"files/{path.relative_to('out')}"
            if path.suffix == ".npz":
                yield name, dict(np.load(path))
            elif path.suffix not in (".png", ".pt"):
                texts.append((scrubbed(name, folder), scrubbed(path.read_text(encoding="utf-8"), folder)))
        count: Counter[str] = Counter()
        for name, text in sorted(texts):
            yield f"{name.replace('DIGEST', str(count[name]))}.txt", text
            count[name] += 1


def path_matrix(n: int) -> str:
    """A Matrix Market file of a chain of n unknowns."""
    rows = [f"{i % (n - 1) + 2} {i + 1} -1.0" for i in range(n - 1)] + [f"{i + 1} {i + 1} 3.0" for i in range(n)]
    return "\n".join(["%%MatrixMarket matrix coordinate real symmetric", f"{n} {n} {len(rows)}", *rows, ""])


def scrubbed(text: str, folder: str) -> str:
    """Without paths, versions, digests and what the clock measured; in an SVG picture names of shapes are numbers in their order."""
    text = text.replace(folder, "FOLDER")
    if "<svg" in text:
        names = dict.fromkeys(re.findall(r'id="([a-z][0-9a-f]{10})"', text))
        for k, name in enumerate(names):
            text = text.replace(name, f"shape{k}")
    if "device simulated in" in text:  # in a table that is as wide as the clock's figures
        text = re.sub("(─|━| )+", r"\1", text)
    for pattern, replacement in SCRUBBED.items():
        text = re.sub(pattern, replacement, text)
    return text


def cases() -> Iterator[Case]:
    """All commands."""
    for name, arguments in COMMANDS.items():
        yield f"commands/{name}", commanded, (arguments,)
