"""How answers are judged: SQuAD's exact match and F1, and the best span of logits.

Both compare texts in lower case, without punctuation, the articles a, an and the, and with single spaces. F1 is the harmonic mean of
precision and recall over the words of the two texts, counted as often as they occur in both. Of several right answers the best counts.

Source: P. Rajpurkar et al., arXiv 1606.05250, section 6.1, and the official script evaluate-v1.1.py.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalised(text: str) -> str:
    """Lower case without punctuation, then without articles, then with single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, right: str) -> float:
    """1 where both texts are the same when normalised, else 0."""
    return float(normalised(answer) == normalised(right))


def f1(answer: str, right: str) -> float:
    """2 p r / (p + r) with p = common / words of the answer and r = common / words of the right one."""
    found, wanted = normalised(answer).split(), normalised(right).split()
    common = sum((Counter(found) & Counter(wanted)).values())
    return 2 * common / (len(found) + len(wanted)) if common else 0.0


def best_of(measure: Callable[[str, str], float], answer: str, right: Iterable[str]) -> float:
    """The largest value over the right answers."""
    return max(measure(answer, one) for one in right)


def best_spans(logits: Tensor, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """The span of the largest start + end logit, of those with start <= end < start + longest.

    Args:
        logits: (b, 2, T), of start and end.
        longest: largest number of tokens, >= 1.

    Returns:
        First tokens, last tokens and sums, each (b,).
    """
    b, _, T = logits.shape
    sums = logits[:, 0, :, None] + logits[:, 1, None, :]
    allowed = torch.ones(T, T, dtype=torch.bool, device=logits.device).triu().tril(longest - 1)
    value, place = sums.masked_fill(~allowed, -torch.inf).reshape(b, -1).max(dim=1)
    return place // T, place % T, value
