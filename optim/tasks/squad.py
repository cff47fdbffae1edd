"""Questions on paragraphs (SQuAD), answered by a DistilBERT with low-rank adapters: the fine-tuning task of the published TNGD experiments.

The data and the model are not shipped: `question_answering` reads the original format and a saved DistilBERT. Whole articles are
held out. The loss is the mean cross-entropy of the answer's first and last token over the tokens of the window's paragraph, with labels of
the questions whose first answer occurs once in its paragraph; the score is F1 on the held-out articles.
"""

from __future__ import annotations

import functools
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from .question_answering.answers import best_of, best_spans, exact_match, f1
from .question_answering.questions import Question, read_squad
from .question_answering.span_model import SpanModel, load_model, load_tokenizer
from .question_answering.windows import Windows, answered, windows
from .shuffled_batches import batch_indices
from .task import Plan, Score, Task, TaskClosure

PATH_VARIABLE, MODEL_VARIABLE = "THERMOGRAD_SQUAD", "THERMOGRAD_SQUAD_MODEL"
"""Environment variables that hold the paths of the questions and of the model's folder."""
F1 = Score("F1", more_is_better=True, target=0.2, percent=True)
"""Mean over the held-out questions."""
EXACT_MATCH = "exact match"
"""Name of the share of held-out questions whose answer is right to the word, in `metrics`."""
LONGEST = 30
"""Largest number of tokens of an answer that is looked for."""
EVALUATION_BATCH = 32
Split: TypeAlias = Literal["test", "validation"]
"""Which articles are held out."""

_SAMPLED = {"damping": 1.0, "curvature": "mc-fisher"}
PLAN = Plan(
    steps=40,
    batch=32,
    evaluate_every=0,
    settings={
        "adam": {"lr": 3e-3},
        "ngd": {"lr": 0.1, **_SAMPLED},
        "ngd-cg": {"lr": 0.1, **_SAMPLED},
        "tngd": {"lr": 0.1, **_SAMPLED},
        "tngd-adam": {"lr": 3e-3, **_SAMPLED},
    },
)
"""Two epochs of the sample of 1,000 questions, scored at the end. The settings are first choices that train, not the best of a search
(docs/squad.md): `benchmarks/optim/tune.py` finds those. The exact Gauss-Newton matrix would have b x 2 (T - 1) directions."""


@dataclass(frozen=True, eq=False)
class Squad(Task):
    """The task with its windows.

    Attributes:
        name: with all settings.
        inputs, targets: (n, 3, T) and (n, 2), what is trained on: a window a question, first and last token of its answer.
        judged: questions of the held-out articles.
        windows: of these.
        folder: of the model.
        rank: of the adapters.
        unanswered: number of training questions whose answer no window holds; they are left out.
        validation: the task that settings are chosen on.
        plan: how it is trained by default.
    """

    name: str
    inputs: Tensor
    targets: Tensor
    judged: Sequence[Question]
    windows: Windows
    folder: Path
    rank: int
    unanswered: int
    validation: Callable[[], Squad]
    plan: Plan = PLAN

    @property
    def score(self) -> Score:
        """`F1`."""
        return F1

    @property
    def dtype(self) -> torch.dtype:
        """float32."""
        return torch.float32

    def model(self) -> SpanModel:
        """The network with new adapters and a new head."""
        return load_model(self.folder, self.rank)

    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        """Loss and logits (b, 2, T) of batch number `step` of shuffled epochs. InputError as `batch_indices`."""
        chosen = batch_indices(self.name, len(self.inputs), step, batch, seed)
        inputs, targets = self.inputs[chosen], self.targets[chosen]

        def closure() -> tuple[Tensor, Tensor]:
            logits = model(inputs)
            return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()), logits

        return closure

    def evaluate(self, model: nn.Module) -> float:
        """Mean F1 over the held-out questions."""
        return self.metrics(model)[F1.name]

    def metrics(self, model: nn.Module) -> dict[str, float]:
        """Means of F1 and exact match over the held-out questions."""
        answers = self.answers(model)
        pairs = list(zip(answers, self.judged, strict=True))
        measures = {F1.name: f1, EXACT_MATCH: exact_match}
        return {
            name: sum(best_of(one, answer, asked.answers) for answer, asked in pairs) / len(pairs)
            for name, one in measures.items()
        }

    def held_out(self) -> Squad:
        """The same with other articles held out, and these left out."""
        return self.validation()

    @torch.no_grad()
    def answers(self, model: nn.Module) -> list[str]:
        """The model's answers to the held-out questions: of all windows of each the span with the largest sum of logits."""
        training = model.training
        model.eval()
        parts = [best_spans(model(part), LONGEST) for part in self.windows.inputs.split(EVALUATION_BATCH)]
        model.train(training)
        first, last, value = (torch.cat(part).tolist() for part in zip(*parts, strict=True))
        best: dict[int, tuple[float, str]] = {}
        for i, at in enumerate(self.windows.question.tolist()):
            if at not in best or value[i] > best[at][0]:
                start, stop = int(self.windows.places[i, first[i], 0]), int(self.windows.places[i, last[i], 1])
                best[at] = (value[i], self.judged[at].context[start:stop])
        return [best[at][1] for at in range(len(self.judged))]


def squad(
    path: str | Path | None = None,
    model: str | Path | None = None,
    length: int = 128,
    overlap: int = 32,
    rank: int = 2,
    held_out: int = 10,
    split: Split = "test",
    seed: int = 0,
) -> Squad:
    """The SQuAD task.

    Args:
        path: a file in the format of SQuAD 1.1; None: from the environment variable `THERMOGRAD_SQUAD`.
        model: folder of a saved DistilBERT with its tokenizer; None: from `THERMOGRAD_SQUAD_MODEL`.
        length: tokens of a window, question included.
        overlap: tokens that neighbouring windows of a longer paragraph share.
        rank: of the adapters.
        held_out: number of articles that are held out.
        split: "test", or "validation" to choose settings: articles of the training part are held out then, and the test's are left out.
        seed: of the choice of articles.

    Raises:
        InputError: arguments out of range; no path; files that are missing or of another kind; transformers or peft is not installed.
    """
    if min(length, overlap + 1, rank, held_out, seed + 1) < 1 or split not in get_args(Split):
        raise InputError(
            f"length {length}, overlap {overlap}, rank {rank}, held_out {held_out}, seed {seed}, split {split!r}: give length, rank and "
            f"held_out >= 1, overlap and seed >= 0, and a split of {' or '.join(get_args(Split))}"
        )
    file = _given(path, PATH_VARIABLE, "a file in the format of SQuAD 1.1 (--data PATH", ")")
    folder = _given(
        model, MODEL_VARIABLE, "the folder of a saved DistilBERT (model=FOLDER in Python, an experiment's settings", ")"
    )
    questions = [one for one in read_squad(file) if one.unique]
    train, test = _split(questions, held_out, split, seed)
    tokenizer = load_tokenizer(folder)
    found = windows(tokenizer, train, length, overlap)
    chosen, targets = answered(found, train)
    mark = zlib.crc32(repr((train, test)).encode())
    for part in sorted(folder.glob("*.safetensors")):
        mark = zlib.crc32(part.read_bytes(), mark)
    name = f"squad(length={length}, overlap={overlap}, rank={rank}, held_out={held_out}, {split}, seed={seed}, data {mark:08x})"
    return Squad(
        name,
        found.inputs[chosen],
        targets,
        test,
        windows(tokenizer, test, length, overlap),
        folder,
        rank,
        len(train) - len(chosen),
        functools.partial(squad, file, folder, length, overlap, rank, held_out, "validation", seed),
    )


def _given(value: str | Path | None, variable: str, what: str, end: str) -> Path:
    found = value or os.environ.get(variable)
    if not found:
        raise InputError(f"the task squad needs {what}, or the environment variable {variable}{end}")
    return Path(found)


def _split(
    questions: Sequence[Question], held_out: int, split: Split, seed: int
) -> tuple[list[Question], list[Question]]:
    """Questions to train on and held-out ones, by articles."""
    titles = list(dict.fromkeys(one.article for one in questions))
    order = [titles[i] for i in np.random.default_rng(seed).permutation(len(titles))]
    if len(order) <= 2 * held_out:
        raise InputError(
            f"held_out is {held_out}, but the data hold {len(order)} articles: as many are for the choice of settings, and some to train "
            f"on; give at most {max((len(order) - 1) // 2, 0)}"
        )
    tests, rest = order[:held_out], order[held_out:]
    judged = set(tests if split == "test" else rest[:held_out])
    trained = set(rest if split == "test" else rest[held_out:])
    return [one for one in questions if one.article in trained], [one for one in questions if one.article in judged]
