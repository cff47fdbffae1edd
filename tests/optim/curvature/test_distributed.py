"""Two processes with half of the batch each take the step of one process with the whole."""

import copy
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .joined_batch import CASES, flat, problem, trained


@pytest.mark.slow
def test_two_processes_are_one_with_the_joined_batch(tmp_path):
    """To 1e-6 (issue); a process that keeps to its own half goes elsewhere."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = [tmp_path / f"{rank}.json" for rank in range(2)]
    script = Path(__file__).with_name("joined_batch.py")
    running = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(port), str(file)], stderr=subprocess.PIPE, text=True
        )
        for rank, file in enumerate(files)
    ]
    results = {}
    for one, file in zip(running, files, strict=True):
        _, error = one.communicate(timeout=200)
        assert one.returncode == 0, error
        results |= json.loads(file.read_text())
    assert "the same number" in results["error-0"][0]
    model, x, y = problem()
    start = flat(model.parameters())
    for name in CASES:
        own = copy.deepcopy(model)
        expected, loss = trained(own, None, x, y, name, None)
        moved = float((expected - start).norm())
        for rank in range(2):
            found = torch.tensor(results[f"{name}-{rank}"][0], dtype=torch.float64)
            assert float((found - expected).norm()) < 1e-6 * moved, name
            assert results[f"{name}-{rank}"][1] == pytest.approx(loss, rel=1e-9)
        assert results[f"{name}-0"][0] == results[f"{name}-1"][0]  # bit for bit, so that replicas never drift apart
    own = copy.deepcopy(model)
    expected, _ = trained(own, None, x, y, "ngd", None)
    assert float((torch.tensor(results["alone-0"][0]) - expected).norm()) > 0.01 * float((expected - start).norm())
