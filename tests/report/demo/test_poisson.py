"""The stage of Poisson's equation: what each run is, and what the table says of it."""

from __future__ import annotations

import pytest

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.report.demo import poisson as stage


def test_each_seed_is_trained_in_all_ways_with_a_die_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "POISSON_STEPS", 2)
    monkeypatch.setattr(stage, "TIMES", 3)
    monkeypatch.setattr(stage, "SEEDS", (0,))
    monkeypatch.setattr(stage, "DIES", (4,))
    found = stage.poisson_stage(DeviceCard.uncalibrated(preset("integrated")), 1, lambda stage, done, total: None)
    runs = {run["kind"]: run for run in found["runs"]}
    assert {kind: (run["die"], run["steps"][-1]) for kind, run in runs.items()} == {
        "die": (4, 2),
        "adam": (None, 2 * stage.TIMES),
        "ngd": (None, 2),
        "tngd": (None, 2),
    }
    assert runs["tngd"]["errors"] == pytest.approx(runs["ngd"]["errors"], rel=1e-6)
    assert (runs["die"]["retried"], runs["die"]["products"] > 3 * stage.DEFLATION) == (0, True)
    for row, run in zip(found["table"], found["runs"], strict=True):
        assert (row["label"], row["error"], row["steps"]) == (run["label"], run["errors"][-1], run["steps"][-1])
        assert row["reached"] == [None, None]
