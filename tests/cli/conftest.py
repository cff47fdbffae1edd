"""Commands run in the test's process, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thermograd.cli import main as cli

from .command_line import A, B, Run, save


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    for variable in ("THERMOGRAD_DEBUG", "THERMOGRAD_MNIST"):
        monkeypatch.delenv(variable, raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def files(run: Run) -> Run:
    """`run` in a folder with the files that the tables of bad input speak of."""
    save("A.npy", A)
    save("A.npz", A)
    save("b4.npy", np.ones(4))
    save("active.npy", np.array([[1.0, 0.9, 0.9], [0.9, 1.0, 0.9], [0.9, 0.9, 1.0]]))
    save("system.npz", A=A, b=B)
    save("indefinite.npz", A=np.array([[1.0, 2.0], [2.0, 1.0]]), b=np.ones(2))
    Path("folder.npy").mkdir()
    Path("bad.toml").write_text("[adc]\nbits = 99\n", encoding="utf-8")
    Path("typo.json").write_text('{"resistors": {"tolerence": 0.01}}', encoding="utf-8")
    Path("broken.toml").write_text("= =", encoding="utf-8")
    return run
