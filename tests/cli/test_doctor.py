"""`thermograd doctor`: a healthy installation passes, wrong physics and missing parts are named with a remedy."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from thermograd.circuits.technology.pdk import Process, process
from thermograd.cli import installation

from ..processes import needs_process
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


@needs_process("gf180mcu")
def test_doctor_sees_a_process_that_heeds_no_mismatch() -> None:
    """Negative control: transistors whose threshold stays where it is."""
    from thermograd.circuits import Mosfet, Netlist
    from thermograd.circuits.ngspice.run import run as simulate

    known = process("gf180mcu")

    def deaf(netlist: Netlist, analysis: Any) -> Any:
        other = Netlist("deaf", netlist.temperature)
        for part in netlist:
            kept = (
                {key: value for key, value in part.values.items() if key != "delvto"}
                if isinstance(part, Mosfet)
                else None
            )
            other.add(part if kept is None else dataclasses.replace(part, parameters=kept))
        return simulate(other, analysis)

    assert [installation._transistors(run, known, "process").ok for run in (simulate, deaf)] == [True, False]


def test_doctor_passes_without_the_models_and_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Process, "is_installed", False)
    found = list(installation._processes(None))
    assert [check.status for check in found] == ["missing", "missing"]
    assert all("thermograd[pdk]" in check.found for check in found)
    monkeypatch.setattr(
        installation, "checks", lambda: iter([installation.Check(installation.LIBRARY, True, ""), *found])
    )
    code, out, error = run("doctor")
    assert (code, error) == (0, "")
    assert "thermograd[pdk]" in " ".join(out.split())


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
