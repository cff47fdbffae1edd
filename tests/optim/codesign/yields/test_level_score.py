"""A score of a level as a function of the design point."""

import math
from dataclasses import dataclass

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import PRESETS
from thermograd.devicemodel.card import DeviceCard
from thermograd.optim.codesign.knobs import DesignPoint
from thermograd.optim.codesign.outcomes import Evaluation
from thermograd.optim.codesign.yields import LevelScore, Limit, margins, sensitivities

CARD = DeviceCard.uncalibrated(PRESETS["integrated"])


@dataclass(frozen=True)
class Known:
    """die * tolerance + seed; die 9 diverges. The ideal device has the seed alone."""

    def evaluate(self, card, point, die, seed, reading):
        assert reading == "bare"
        assert (card is None) == (die is None)
        error = seed if die is None else math.nan if die == 9 else die * point["resistors.tolerance"] + seed
        return Evaluation({"error": float(error), "other": 7.0})


POINT = DesignPoint({"resistors.tolerance": 0.01})


def score(**options):
    return LevelScore(Known(), CARD, **{"dies": (1, 2, 3), "seeds": (0, 1), "reading": "bare", **options})


def test_dies_by_the_mean_of_their_seeds_and_what_is_taken_of_them():
    assert score().by_die(POINT) == pytest.approx([0.51, 0.52, 0.53])
    found = {over: score(over=over)(POINT) for over in ("mean", "lowest", "highest")}
    assert found == pytest.approx({"mean": 0.52, "lowest": 0.51, "highest": 0.53})
    assert score().exact_ngd() == 0.5
    assert score(score="other")(POINT) == 7.0
    assert score().die_yield(POINT, Limit(0.52, more_is_better=False)).met == 2


def test_a_die_that_diverged_spoils_the_score_and_misses():
    assert math.isnan(score(dies=(1, 9), over="lowest")(POINT))
    assert score(dies=(1, 9)).die_yield(POINT, Limit(1.0, False)).met == 1


def test_what_sensitivities_and_margins_take():
    worst = score(over="highest")
    (found,) = margins(worst, POINT, ["tolerance"], Limit(0.56, False))
    assert found.worst == pytest.approx(0.02, rel=0.1)
    share = sensitivities(worst, {"tolerance": (0.001, 0.1), "adc.bits": (3, 8)}, samples=8)
    assert share.ranking[0] == "resistors.tolerance"


@pytest.mark.parametrize("options", [{"dies": ()}, {"seeds": ()}, {"over": "median"}])
def test_what_is_no_score(options):
    with pytest.raises(InputError):
        score(**options)


def test_an_unknown_score_is_named():
    with pytest.raises(InputError, match="this level has: error, other"):
        score(score="accuracy")(POINT)
