"""The summary says where a figure misses its requirement."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from thermograd.report.demo.summary import summary

from ..sample_results import sample_results

SMALL = sample_results(unknowns=6, points=40)


def misses(results: dict[str, Any]) -> list[bool]:
    return ['class="miss"' in sentence for sentence in summary(results)]


def test_five_sentences_without_a_miss() -> None:
    sentences = summary(SMALL)
    assert len(sentences) == 5
    assert misses(SMALL) == [False] * 5
    assert "by 0.00" in sentences[2].striptags()
    assert "the same dies with bare readings reach" in sentences[4].striptags()
    assert all(s.striptags().endswith(".") and s.striptags().count(". ") == 0 for s in sentences)


def test_a_poor_surrogate_is_marked() -> None:
    results, rng = copy.deepcopy(SMALL), np.random.default_rng(5)
    for item in results["calibration"]["comparisons"]:
        spice = np.array(item["spice"])
        item["surrogate"] = (spice + 0.4 * spice.std() * rng.standard_normal(len(spice))).tolist()
    assert misses(results) == [False, True, False, False, False]
    assert "below the required 95 %" in summary(results)[1].striptags()


@pytest.mark.parametrize("ratio", [0.9, 1.1, math.nan])
def test_noise_off_the_law_is_reported(ratio: float) -> None:
    assert misses(SMALL | {"transient": SMALL["transient"] | {"rms_over_std": ratio}}) == [
        True,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(("shift", "word", "miss"), [(-0.05, "worse", True), (0.02, "better", False)])
def test_a_real_difference_from_exact_ngd_is_reported(shift: float, word: str, miss: bool) -> None:
    results = copy.deepcopy(SMALL)
    exact = {run["seed"]: run["accuracy"][-1] for run in results["training"]["runs"] if run["optimizer"] == "ngd"}
    for run in results["training"]["runs"]:
        if run["reading"] == "refined":
            run["accuracy"][-1] = exact[run["seed"]] + shift + 0.001 * run["seed"]
    assert f"{word} by a significant margin" in summary(results)[4].striptags()
    assert misses(results) == [False, False, False, False, miss]


def test_a_loop_that_is_not_explained_is_reported() -> None:
    results = copy.deepcopy(SMALL)
    results["loop"]["systems"][2]["explained"] = 0.61
    assert "falls to 61.0 %" in summary(results)[4].striptags()


def test_an_equation_that_adam_solves_better_is_marked() -> None:
    assert "to a relative error of 4.2 × 10⁻⁴ in 40 steps, by exact NGD to 1.0 × 10⁻⁵" in summary(SMALL)[3].striptags()
    results = copy.deepcopy(SMALL)
    for run in results["poisson"]["runs"]:
        if run["kind"] == "adam":
            run["errors"][-1] = 1e-4
    assert misses(results) == [False, False, False, True, False]
