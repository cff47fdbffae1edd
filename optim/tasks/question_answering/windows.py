"""Questions as token windows: question and a piece of its paragraph, with overlaps where the paragraph is longer than the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ....circuits.errors import InputError
from .questions import Question


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of T tokens, [CLS] question [SEP] piece of the paragraph [SEP] padding.

    Attributes:
        tokens: (n, T) indices.
        filled: (n, T) bool, False at padding.
        inside: (n, T) bool, True at tokens of the paragraph.
        places: (n, T, 2) characters of the paragraph that a token covers, first and the one after the last.
        question: (n,) index of the question.
    """

    tokens: Tensor
    filled: Tensor
    inside: Tensor
    places: Tensor
    question: Tensor

    @property
    def inputs(self) -> Tensor:
        """(n, 3, T): tokens, filled and inside, as the model takes them."""
        return torch.stack([self.tokens, self.filled.long(), self.inside.long()], dim=1)


def windows(tokenizer: Any, questions: Sequence[Question], length: int, overlap: int) -> Windows:
    """All windows of the questions.

    Args:
        tokenizer: a fast one of transformers.
        questions: at least one.
        length: T, tokens of a window.
        overlap: tokens of the paragraph that neighbouring windows of a question share.

    Raises:
        InputError: a question that leaves no room for the paragraph.
    """
    for asked in questions:
        room = length - len(tokenizer(asked.text)["input_ids"]) - 1
        if room <= overlap:
            raise InputError(
                f"the question {asked.text[:60]!r} leaves {room} of {length} tokens for its paragraph, no more than the overlap of "
                f"{overlap}: give more tokens, or a smaller overlap"
            )
    found = tokenizer(
        [one.text for one in questions],
        [one.context for one in questions],
        truncation="only_second",
        max_length=length,
        stride=overlap,
        padding="max_length",
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    inside = [[part == 1 for part in found.sequence_ids(i)] for i in range(len(found["input_ids"]))]
    return Windows(
        torch.tensor(found["input_ids"]),
        torch.tensor(found["attention_mask"]).bool(),
        torch.tensor(inside),
        torch.tensor(found["offset_mapping"]),
        torch.tensor(found["overflow_to_sample_mapping"]),
    )


def answered(found: Windows, questions: Sequence[Question]) -> tuple[Tensor, Tensor]:
    """For each question the window with its first answer, and the most text around it; first and last token of the answer.

    Returns:
        Windows (q,) and tokens (q, 2), of the questions that have such a window.
    """
    best: dict[int, tuple[int, int, int, int]] = {}
    for i, at in enumerate(found.question.tolist()):
        asked = questions[at]
        starts, stops = found.places[i].unbind(-1)
        covered = (found.inside[i] & (stops > asked.start) & (starts < asked.stop)).nonzero()[:, 0].tolist()
        if not covered or starts[covered[0]] > asked.start or stops[covered[-1]] < asked.stop:
            continue
        own = found.inside[i].nonzero()[:, 0].tolist()
        around = min(covered[0] - own[0], own[-1] - covered[-1])
        if at not in best or around > best[at][0]:
            best[at] = (around, i, covered[0], covered[-1])
    chosen = [best[at] for at in sorted(best)]
    return torch.tensor([one[1] for one in chosen], dtype=torch.long), torch.tensor(
        [one[2:] for one in chosen], dtype=torch.long
    ).reshape(-1, 2)
