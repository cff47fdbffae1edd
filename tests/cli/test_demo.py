"""`thermograd demo`: what it reports of the chain's results."""

from __future__ import annotations

import json

import pytest

from .command_line import Run


@pytest.mark.parametrize("explained", [0.97, 0.9])
def test_demo_reports_what_it_wrote(run: Run, monkeypatch: pytest.MonkeyPatch, explained: float) -> None:
    from thermograd.report.demo import run as demo

    row = {"label": "sgd", "runs": 3, "accuracy_mean": 0.95, "accuracy_std": 0.01}
    results = {
        "meta": {"total_seconds": 300.0},
        "training": {"table": [row]},
        "calibration": {"card": {"held_out": {"explained_variance": explained}}},
    }
    monkeypatch.setattr(
        demo, "run_demo", lambda out, progress, workers, reading: (progress("matrix", 0, 1), results)[1]
    )
    code, out, error = run("demo", "--out", "here", "--json")
    assert code == (0 if explained >= 0.95 else 1)
    assert json.loads(out)["report"] == "here/report.html"
    assert error.startswith("matrix\n"), "without a terminal the stages are announced"
    assert "95.00 +- 1.00" in run("demo", "--out", "here")[1]
