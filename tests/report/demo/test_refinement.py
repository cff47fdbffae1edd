"""The stage of refined readings: a device that is asked again what it has read, the control, and what the page quotes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.report.demo.refinement import NoDie, Once
from thermograd.report.demo.run import run_demo
from thermograd.report.demo.settings import PLANS
from thermograd.report.demo.statistics import refinement_facts

from ...systems import spd
from ..sample_results import sample_results

A = Dense(torch.from_numpy(spd(6, 20.0, 1)))
B = torch.tensor([1.0, -0.5, 0.2, 0.8, 0.1, -0.7], dtype=torch.float64)


def test_every_round_is_read_once() -> None:
    """Rounds 0 to 3 asked one after the other take the runs of the last, and are what it went through."""
    asked = []

    class Counted(SurrogateDevice):
        def solve(self, system, b, duration, x0=None):  # type: ignore[no-untyped-def]
            asked.append(b)
            return super().solve(system, b, duration, x0)

    card = DeviceCard.uncalibrated(preset("integrated"))
    device = Once(Counted(card, 1))
    found = [Refined(device, rounds=k).solve(A, B, 200.0).refinement for k in range(4)]
    assert len(asked) == 2 * 4
    assert all(one is not None and one.residuals == found[-1].residuals[: 1 + k] for k, one in enumerate(found))  # type: ignore[union-attr]


def test_without_a_die_flexible_cg_is_plain_cg() -> None:
    d = np.diag(A.dense().numpy()) ** -0.5
    M, c = A.dense().numpy() * np.outer(d, d), d * B.numpy()
    y, r = np.zeros(6), c.copy()
    p = r.copy()
    for rounds in range(4):
        length = (r @ r) / (p @ M @ p)
        y, left = y + length * p, r - length * (M @ p)
        p, r = left + (left @ left) / (r @ r) * p, left
        np.testing.assert_allclose(Refined(NoDie(), rounds=rounds, method="fcg").solve(A, B, 1.0).x, d * y, rtol=1e-9)


def test_the_page_quotes_the_worst_die_of_ngspice() -> None:
    refinement = sample_results(unknowns=6, points=40)["refinement"]
    found = refinement_facts(refinement)
    worst = [max(die["errors"][k] for die in refinement["dies"] if die["kind"] == "spice") for k in range(5)]
    assert found["errors"] == worst
    assert found["dies"] == 3
    assert found["control"] == refinement["control"][-1]


def test_plans_of_the_demo() -> None:
    """A bare circuit is read after as many time constants as a refined one."""
    for plan in PLANS.values():
        assert plan.settings("tngd") == {**plan.settings("ngd"), "duration": 6 / plan.damping}
    with pytest.raises(InputError, match="'twice': give one of both, refined, bare"):
        run_demo("never", reading="twice")
