"""The smallest text that still fails in the same way: lines, then words, then characters are left out while it does."""

from __future__ import annotations

from collections.abc import Callable


def shrink(text: str, fails: Callable[[str], bool], tries: int = 400) -> str:
    """Leave out what is not needed, the title excepted; `fails` is asked at most `tries` times."""
    left = [tries]

    def still(candidate: str) -> bool:
        left[0] -= 1
        return left[0] >= 0 and fails(candidate)

    title, _, body = text.partition("\n")
    for separator in ("\n", " ", ""):
        pieces = list(body) if not separator else body.split(separator)
        size = max(1, len(pieces) // 2)
        while size >= 1 and left[0] > 0:
            at = 0
            while at < len(pieces) and left[0] > 0:
                fewer = pieces[:at] + pieces[at + size :]
                if still(f"{title}\n{separator.join(fewer)}"):
                    pieces = fewer
                else:
                    at += size
            size //= 2
        body = separator.join(pieces)
    return f"{title}\n{body}"
