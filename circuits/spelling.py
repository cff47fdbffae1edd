"""Names that are not known: what there is, and which one was perhaps meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def unknown_name(what: str, given: str, known: Iterable[str]) -> str:
    """The text of an error for an unknown name: what there is, and the nearest of it, if one is near.

    Args:
        what: kind of the name and where it stands, such as "field" or "setting of the optimizer adam".
        given: the name. known: those that there are.
    """
    names = list(known)
    folded = {name.lower().replace("_", "-"): name for name in names}
    close = get_close_matches(given.lower().replace("_", "-"), folded, 1, cutoff=0.6)
    meant = f"; did you mean {folded[close[0]]}?" if close else ""
    return f"{what} {given!r} is unknown; there are: {', '.join(names) or 'none'}{meant}"
