"""SQuAD's measures by hand-written cases, and its files: what is read, and how damage is reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.optim.tasks.question_answering.answers import best_of, best_spans, exact_match, f1
from thermograd.optim.tasks.question_answering.questions import read_squad

from ..squad_data import write_questions

SAMPLE = Path(__file__).resolve().parents[5] / "shared" / "data" / "squad_sample.json"


@pytest.mark.parametrize(
    ("answer", "right", "same", "overlap"),
    [
        ("The  Normans", "normans.", 1, 1),
        ("Theodore", "Theo dore", 0, 0),  # articles are whole words only
        ("in the 10th century", "10th and 11th centuries", 0, 2 / 7),  # common: 10th; 3 and 4 words
        ("red red blue", "red green", 0, 2 / 5),  # "red" counts once, as it occurs once in the other
        ("U.S.", "us", 1, 1),
        ("don't", "dont", 1, 1),
        ("a the", "an", 1, 0),  # both empty when normalised: the official script has no common word then
        ("Saint Bernadette Soubirous", "Bernadette", 0, 1 / 2),
    ],
)
def test_measures_are_those_of_the_official_script(answer, right, same, overlap):
    assert exact_match(answer, right) == same
    assert f1(answer, right) == pytest.approx(overlap)
    assert best_of(f1, answer, ("other words", right)) == pytest.approx(overlap)


def test_the_best_span_is_the_best_of_all_that_are_allowed():
    logits = torch.randn(5, 2, 9, generator=torch.Generator().manual_seed(0))
    first, last, value = best_spans(logits, 3)
    for i in range(5):
        spans = [(logits[i, 0, a] + logits[i, 1, b], a, b) for a in range(9) for b in range(a, min(a + 3, 9))]
        assert (value[i], first[i], last[i]) == max(spans)
    free = logits[:, 0].argmax(1) > logits[:, 1].argmax(1)
    assert bool(free.any())  # the largest logits alone would not be a span


def test_questions_are_read_with_their_place(tmp_path):
    found = read_squad(write_questions(tmp_path / "q.json"))
    assert [one.unique for one in found].count(False) == 1
    assert all(one.context[one.start : one.stop] == one.answers[0] for one in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q: "{", "is not JSON"),
        (lambda q: [], "has no list 'data'"),
        (lambda q: {"data": [{"title": "t"}]}, r"data\[0\] has no list 'paragraphs'"),
        (lambda q: q["data"][0]["paragraphs"][0]["qas"][0].update(answers=[]), "has no answers"),
        (lambda q: q["data"][1]["paragraphs"][0].update(context="x"), r"data\[1\].*is not at answer_start"),
        (lambda q: q["data"][0]["paragraphs"][0]["qas"][0].update(question=3), "has no text 'question'"),
    ],
)
def test_damage_is_reported_with_its_place(tmp_path, change, message):
    path = write_questions(tmp_path / "q.json")
    content = json.loads(path.read_text())
    changed = change(content)
    path.write_text(changed if isinstance(changed, str) else json.dumps(content if changed is None else changed))
    with pytest.raises(InputError, match=message):
        read_squad(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_squad(tmp_path / "absent.json")


@pytest.mark.skipif(not SAMPLE.exists(), reason=f"the sample of SQuAD is not at {SAMPLE}")
def test_the_sample_has_its_unique_answers():
    found = read_squad(SAMPLE)
    assert (len(found), len({one.article for one in found}), sum(one.unique for one in found)) == (1000, 48, 874)
