"""Questions in the format of SQuAD 1.1: JSON of articles, their paragraphs, and questions whose answers are parts of the paragraph.

Source: P. Rajpurkar, J. Zhang, K. Lopyrev and P. Liang, "SQuAD: 100,000+ questions for machine comprehension of text", arXiv 1606.05250.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....circuits.errors import InputError


@dataclass(frozen=True)
class Question:
    """A question with its paragraph.

    Attributes:
        article: title of the article.
        context: text of the paragraph.
        text: of the question.
        answers: texts that count as right, the first one is trained on.
        start: position of the first answer in the paragraph, in characters.
    """

    article: str
    context: str
    text: str
    answers: tuple[str, ...]
    start: int

    @property
    def stop(self) -> int:
        """Position after the first answer, in characters."""
        return self.start + len(self.answers[0])

    @property
    def unique(self) -> bool:
        """Whether the first answer occurs once in the paragraph: the files mark one place, of several the first."""
        return self.context.count(self.answers[0]) == 1


def read_squad(path: Path) -> list[Question]:
    """All questions of a file, in its order.

    Raises:
        InputError: the file is missing, not JSON, or not in this format; an answer that is not at its place in the paragraph.
    """
    where = f"SQuAD file {str(path)!r}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror or error}; check the path") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error}; give a file such as dev-v1.1.json") from None
    found = []
    for i, article in enumerate(_list(content, "data", where)):
        title = _text(article, "title", f"{where}, data[{i}]")
        for j, paragraph in enumerate(_list(article, "paragraphs", f"{where}, data[{i}]")):
            context = _text(paragraph, "context", f"{where}, data[{i}].paragraphs[{j}]")
            for k, asked in enumerate(_list(paragraph, "qas", f"{where}, data[{i}].paragraphs[{j}]")):
                found.append(_question(title, context, asked, f"{where}, data[{i}].paragraphs[{j}].qas[{k}]"))
    return found


def _question(title: str, context: str, asked: Any, where: str) -> Question:
    answers = _list(asked, "answers", where)
    if not answers:
        raise InputError(f"{where} has no answers; give a file of version 1.1, where every question has one")
    texts = tuple(_text(answer, "text", where) for answer in answers)
    start = answers[0].get("answer_start")
    if not isinstance(start, int) or not texts[0] or not context.startswith(texts[0], max(start, 0)):
        raise InputError(f"{where}: the answer {texts[0]!r} is not at answer_start {start!r} of its paragraph")
    return Question(title, context, _text(asked, "question", where), texts, start)


def _list(holder: Any, name: str, where: str) -> list[Any]:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, list):
        raise InputError(f"{where} has no list {name!r}; give a file in the format of SQuAD 1.1")
    return value


def _text(holder: Any, name: str, where: str) -> str:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, str):
        raise InputError(f"{where} has no text {name!r}; give a file in the format of SQuAD 1.1")
    return value
