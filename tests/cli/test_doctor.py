"""`thermograd doctor`: a healthy installation passes, wrong physics and missing parts are named with a remedy."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from thermograd.cli import installation

from .command_line import Run


@pytest.mark.slow
def test_doctor_finds_a_healthy_installation(run: Run) -> None:
    code, out, error = run("doctor", "--json")
    data = json.loads(out)
    assert (code, error, data["ok"]) == (0, "", True), data
    assert {installation.LIBRARY, installation.DIVIDER, installation.MODELS, installation.NOISE, "torch"} <= {
        c["name"] for c in data["checks"]
    }


def test_doctor_sees_wrong_physics() -> None:
    """Negative control: a simulator that divides wrongly, and whose noise is 1.3 times too large."""
    from thermograd.circuits.netlist.analyses import OperatingPointResult, Transient, TransientResult

    sigma = (installation.BOLTZMANN * installation.TEMPERATURE / installation.CAPACITANCE) ** 0.5

    def wrong(factor: float, divider: float) -> list[installation.Check]:
        def run(netlist: Any, analysis: Any, seed: int | None = None) -> Any:
            if not isinstance(analysis, Transient):
                return OperatingPointResult({"out": divider})
            noise = np.random.default_rng(0).standard_normal(analysis.steps) * factor * sigma
            return TransientResult(np.arange(analysis.steps), {"out": 0.5 + noise})

        return [installation._operating_point(run), *installation._thermal_noise(run)]

    assert [check.ok for check in wrong(1.0, 0.5)] == [True, True, True]
    assert [check.ok for check in wrong(1.3, 0.4)] == [False, True, False]


@pytest.mark.parametrize("absent", [True, False])
def test_doctor_names_the_remedy_for_each_fault(run: Run, monkeypatch: pytest.MonkeyPatch, absent: bool) -> None:
    found = [
        installation.Check("torch", False, "not installed", "pip install torch", absent=True),
        installation.Check(installation.LIBRARY, not absent, "", "apt-get install libngspice0", absent=absent),
    ]
    monkeypatch.setattr(installation, "checks", lambda: iter(found))
    code, out, error = run("doctor")
    assert code == (2 if absent else 1)
    assert "missing" in out
    assert "remedy: pip install torch" in error
    assert ("apt-get install libngspice0" in error) == absent
