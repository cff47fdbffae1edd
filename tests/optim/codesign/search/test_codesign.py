"""A search with levels whose outcome is known: what it finds, and that it goes on where it was."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.card import DeviceCard
from thermograd.optim.codesign.knobs.design_point import DesignPoint
from thermograd.optim.codesign.outcomes.evaluation import Evaluation
from thermograd.optim.codesign.search.codesign import codesign
from thermograd.optim.codesign.search.proposals import Proposals
from thermograd.optim.codesign.search.result import CodesignResult
from thermograd.optim.codesign.search.space import SearchedKnob, Space

EXACT = 0.95
KNOBS = {"adc.bits": (3, 10), "dac.bits": (3, 10), "resistors.bits": (4, 10)}
TARGET = "test_accuracy >= exact_ngd - 0.5"
NEEDED = 17
"""Bits in all that the target takes."""


class Known:
    """Accuracy falls with the bits that are missing to `NEEDED`; each costs by its own law."""

    def __init__(self, fidelity: str, fails_after: int | None = None) -> None:
        self.fidelity, self.left = fidelity, fails_after

    def evaluate(
        self,
        card: DeviceCard | None,
        point: DesignPoint,
        die: int | None,
        seed: int,
        reading: str,
        *,
        in_spice: int = 0,
    ) -> Evaluation:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        if card is None:
            return Evaluation({"test accuracy": EXACT, "training loss": 1.0})
        technology = card.technology
        bits = [one or 0 for one in (technology.adc.bits, technology.dac.bits, technology.resistors.bits)]
        missing = max(0, NEEDED - sum(bits)) + (3 if reading == "bare" else 0)
        costs = (1e-6 * (10 + bits[0]), 1e-6 * (1 + 2.0 ** bits[1]), 1e-6 * (1 + bits[2]))
        spice = {"solves": 2.0, "difference": 1e-3, "std": 1e-4} if in_spice else {}
        scores = (
            {"solve error": 1e-3 * 2.0**missing}
            if self.fidelity == "solve"
            else {"test accuracy": EXACT - 0.01 * missing}
        )
        return Evaluation(scores | {"training loss": 1.0 + missing}, ((1, 1.0),), {}, 0, *costs, spice)


def levels(fails_after: int | None = None) -> Mapping[str, Any]:
    return {name: Known(name, fails_after) for name in ("solve", "short", "full")}


def searched(out: Path | None = None, trials: int = 20, **others: Any) -> CodesignResult:
    given = {
        "knobs": KNOBS,
        "levels": levels(),
        "rivals": (),
        "workers": 1,
        "steps": 8,
        "batch": 2,
        "confirm_dies": 2,
        "margins": "none",
        "sensitivity": 0,
    } | others
    return codesign("digits", TARGET, out=out, trials=trials, **given)


def without_times(result: CodesignResult) -> dict[str, Any]:
    data = result.to_dict()
    return {name: data[name] for name in data if name not in ("hours", "evaluations_seconds", "history", "references")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[CodesignResult, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return searched(folder), folder


def test_the_front_meets_the_target(whole: tuple[CodesignResult, Path]) -> None:
    """Its designs are refined, have the bits that are needed, and no other one that meets the target has less of each."""
    result, _ = whole
    assert result.front
    assert result.winner in result.front
    for one in result.front:
        bits = [one["point"][name] for name in KNOBS]
        assert sum(bits) >= NEEDED
        assert one["reading"] == "refined"
        assert one["fidelity"] == "full"
        assert one["feasible"]
        for other in result.designs:
            if other["feasible"]:
                assert not all(other[cost] < one[cost] for cost in ("seconds", "joules", "area"))
    assert not any(one["feasible"] for one in result.designs if one["reading"] == "bare")
    assert all(one["point"]["link.word"] == max(one["point"][name] for name in KNOBS) for one in result.designs)


def test_the_ladder_saves_trainings(whole: tuple[CodesignResult, Path]) -> None:
    result, _ = whole
    stopped = [one for one in result.designs if one["stopped"]]
    assert len(stopped) > len(result.designs) / 4
    assert all(one["fidelity"] != "full" for one in stopped)
    every = searched(strategy="random", trials=8)
    assert {one["fidelity"] for one in every.designs} == {"full"}


def test_what_is_written(whole: tuple[CodesignResult, Path]) -> None:
    """The result is JSON that reads back; the technology, the card and the protocol are those of the winner."""
    result, folder = whole
    assert CodesignResult.read(folder / "codesign.json").to_dict() == result.to_dict()
    winner = result.winner
    assert winner is not None
    technology = Technology.read(folder / "winner.toml")
    assert [technology.adc.bits, technology.dac.bits, technology.resistors.bits] == [
        winner["point"][name] for name in KNOBS
    ]
    assert technology.link.word == winner["point"]["link.word"]
    assert DeviceCard.read(folder / "winner-card.json").technology == technology
    assert json.loads((folder / "winner.json").read_text())["reading"] == winner["reading"]
    told = result.data["confirmation"]
    assert told["holds"]
    assert not set(told["dies"]) & {1, 2}
    assert told["spice"]["solves"] == 2
    names = [one["name"] for one in result.data["references"]]
    assert names == ["exact NGD on the host, Cholesky", "exact NGD on the host, CG", "integrated as it is"]
    volumes = [one["hypervolume"] for one in result.data["history"]]
    assert volumes == sorted(volumes)
    assert volumes[-1] > 0


@pytest.mark.long
@pytest.mark.parametrize("after", [14])
def test_a_search_that_was_stopped_goes_on(whole: tuple[CodesignResult, Path], tmp_path: Path, after: int) -> None:
    """Stopped in the middle of a generation, and once more between two, it ends as the one that was not."""
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, levels=levels(after))
    searched(tmp_path, trials=16)
    assert without_times(searched(tmp_path)) == without_times(whole[0])


def test_several_processes_on_one_database(tmp_path: Path) -> None:
    """Each has its own designs, and one that begins in the place of a dead one takes over what that had begun."""
    space = Space(tuple(SearchedKnob.of(name, given) for name, given in KNOBS.items()))
    first = Proposals(space, 3, "one", tmp_path, None, 0, 4)
    with Proposals(space, 3, "one", tmp_path, None, 0, 4) as second:
        theirs = second.next(16)
        ours = first.next(16)
        assert len(theirs) == len(ours) == 4
        assert not {one.index for one in ours} & {one.index for one in theirs}
        first.close()
        with Proposals(space, 3, "one", tmp_path, None, 0, 4) as third:
            assert [one.values for one in third.next(16)] == [one.values for one in ours]


def test_the_specification_of_the_winner() -> None:
    """Each count of bits may fall by what the winner has to spare; the indices are of the knobs that were searched."""
    result = searched(trials=8, margins="short", sensitivity=2)
    winner = result.winner
    assert winner is not None
    spare = sum(winner["point"][name] for name in KNOBS) - NEEDED
    found = {one["knob"]: one for one in result.data["margins"]}
    assert set(KNOBS) <= set(found)
    assert "opamp.gain" in found
    assert "link.word" not in found
    for name in ("adc.bits", "dac.bits"):
        assert found[name]["low"] == max(winner["point"][name] - spare, 1)
    assert math.isnan(found["opamp.gain"]["worst"])  # nothing depends on it
    assert set(result.data["sensitivity"]["knobs"]) == set(KNOBS)


def test_a_target_out_of_reach_has_no_winner(tmp_path: Path) -> None:
    result = searched(tmp_path, trials=8, knobs={"adc.bits": (2, 4), "dac.bits": (3, 4)}, fixed={"resistors.bits": 4})
    assert result.winner is None
    assert not result.front
    assert not (tmp_path / "winner.toml").exists()
    assert "no design met the target" in " ".join(result.data["notes"])
    with pytest.raises(InputError, match="search wider"):
        result.technology(DeviceCard.read("shipped:integrated").technology)


def test_a_winner_must_hold_on_further_dies() -> None:
    """A design that meets the target on the search's dies alone is no winner."""

    class Lucky(Known):
        def evaluate(
            self,
            card: DeviceCard | None,
            point: DesignPoint,
            die: int | None,
            seed: int,
            reading: str,
            *,
            in_spice: int = 0,
        ) -> Evaluation:
            found = super().evaluate(card, point, die, seed, reading)
            bad = card is not None and die is not None and die > 100
            return Evaluation({**found.scores, "test accuracy": 0.5}) if bad else found

    result = searched(trials=8, levels={"solve": Known("solve"), "short": Known("short"), "full": Lucky("full")})
    assert result.winner is None
    assert result.data["confirmation"]["holds"] is False
    assert any("missed it on further dies" in one for one in result.data["notes"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dies": ()}, "dies of the search"),
        ({"trials": 0}, "trials is 0"),
        ({"short": 9}, "steps of a short training"),
        ({"by": "price"}, "by is 'price'"),
        ({"strategy": "grid"}, "strategy is 'grid'"),
        ({"knobs": {"tngd.reads": (2, 4)}, "readings": ("refined",)}, "reads 2"),
        ({"storage": "postgresql://me:secret@nowhere.invalid/x"}, r"storage postgresql://me@nowhere"),
        ({"margins": "long"}, "margins is"),
        ({"sensitivity": 3}, "a power of two"),
        ({"confirm_dies": 0}, "a confirmation on 0 dies"),
        ({"task_settings": {"hiddens": 3}}, "hiddens"),
    ],
)
def test_what_is_no_question(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        searched(**given)
    assert "secret" not in str(error.value)


def test_nan_is_null(tmp_path: Path) -> None:
    CodesignResult({"format": 1, "x": math.nan}).write(tmp_path / "one.json")
    assert json.loads((tmp_path / "one.json").read_text())["x"] is None
    (tmp_path / "two.json").write_text("[]")
    with pytest.raises(InputError, match="format 1"):
        CodesignResult.read(tmp_path / "two.json")
