"""The ngspice command, where it is installed: what it prints of a text as it stands."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest

NGSPICE = shutil.which("ngspice")
needs_ngspice = pytest.mark.skipif(NGSPICE is None, reason="the ngspice command is not installed")


def operating_point(text, nodes, folder):
    """The voltages of `nodes` that `ngspice -b` prints for a netlist's text."""
    control = "\n".join(
        [".control", "op", "set numdgt=15", *(f"print v({node})" for node in nodes), ".endc", ".end", ""]
    )
    path = folder / "deck.cir"
    path.write_text(text.replace(".op\n", "").replace(".end\n", control), encoding="utf-8")
    done = subprocess.run([NGSPICE, "-b", str(path)], capture_output=True, text=True, timeout=60, check=False)
    found = dict(re.findall(r"^v\((\w+)\) = (\S+)", done.stdout, re.MULTILINE))
    assert set(found) == set(nodes), done.stdout + done.stderr
    return np.array([float(found[node]) for node in nodes])
