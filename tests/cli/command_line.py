"""What the tests of the commands share: small files, a card, a process of its own, and what bad input must end as."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from thermograd.circuits.technology.presets import PRESETS

A = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.2], [0.0, -0.2, 1.5]])


B = np.array([1.0, -2.0, 0.5])


Run = Callable[..., tuple[int, str, str]]


def save(name: str, *arrays: Any, **named: Any) -> str:
    """A matrix file in the current folder."""
    if name.endswith(".npz"):
        np.savez(name, *arrays, **named)
    elif name.endswith(".npy"):
        np.save(name, arrays[0])
    else:
        np.savetxt(name, arrays[0], delimiter="," if name.endswith(".csv") else " ")
    return name


def is_one_line(stderr: str) -> bool:
    """Whether stderr is exactly one `error: ...` line, with nothing of Python's innards in it."""
    return stderr.startswith("error: ") and stderr.count("\n") == 1 and "Traceback" not in stderr


def shell(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m thermograd` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "thermograd", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def card(explained: float = 0.99) -> Any:
    """A card as a calibration of `integrated` might give it."""
    from thermograd.devicemodel.card import DeviceCard
    from thermograd.devicemodel.estimate import Estimate
    from thermograd.devicemodel.held_out import HeldOut
    from thermograd.devicemodel.validity import Validity

    board = PRESETS["integrated"]
    zero = Estimate(value=0.0, std=0.0)
    return DeviceCard(
        technology=board,
        fabric="crossbar",
        gain=Estimate(value=1.0, std=0.0),
        leak=Estimate(value=1 / board.opamp.gain, std=0.0),
        lag=zero,
        mismatch=Estimate(value=board.resistors.tolerance, std=0.0),
        capacitor_mismatch=zero,
        offset=zero,
        noise_power=Estimate(value=1.0, std=0.0),
        held_out=HeldOut(
            systems=4, explained_variance=explained, explained_variance_new_dies=0.9, spice_error=0.1, residual=0.01
        ),
        validity=Validity(unknowns=(2, 64), condition_number=(1.0, 100.0)),
        provenance={},
    )


def words(text: str) -> set[str]:
    """The names in a help text."""
    return set(re.findall(r"[a-z][a-z0-9_-]*", text))


def assert_rejected(run: Run, arguments: list[str], message: str) -> None:
    """The command ends with exit code 2 and one line on stderr that matches, and writes nothing but an empty folder `out`."""
    before = sorted(Path().iterdir())
    code, out, error = run(*arguments)
    assert (code, out) == (2, ""), error
    assert is_one_line(error)
    assert re.search(message, error), error
    assert set(Path().iterdir()) - set(before) <= {Path("out")}, "nothing is written when the input is bad"
