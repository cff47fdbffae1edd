"""The demo's stage that asks who makes the error."""

from __future__ import annotations

import json

import numpy as np

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.optim.training.curvature_systems import CurvatureSystem
from thermograd.report.demo.causes import causes_stage
from thermograd.report.demo.settings import DIES, PLANS

from ...systems import spd
from ..sample_results import sample_causes


def test_the_stage_has_what_the_page_needs() -> None:
    seen: list[tuple[str, int, int]] = []
    rng = np.random.default_rng(0)
    system = CurvatureSystem(5, spd(4, 5.0, 1), rng.standard_normal(4), rng.standard_normal(4))
    card, plan = DeviceCard.uncalibrated(preset("integrated")), PLANS["both"]
    found = causes_stage(system, card, plan, lambda stage, done, total: seen.append((stage, done, total)))
    assert found.keys() == sample_causes().keys()
    assert found["dies"] == list(DIES)
    assert (found["unknowns"], found["duration_tau"]) == (4, plan.duration)
    assert found["readings"]["bare"]["causes"][0].keys() == sample_causes()["readings"]["bare"]["causes"][0].keys()
    assert seen[-1][1] == seen[-1][2]
    json.dumps(found, allow_nan=False)
