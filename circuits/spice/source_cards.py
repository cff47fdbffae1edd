"""What stands after the nodes of a V or I card: values and a piecewise linear waveform."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..netlist.waveforms import Waveform
from .expressions import Scope

#: Key -> how many words may follow it; a value without one is the dc value.
_WORDS = {"dc": 1, "ac": 2, "pwl": 10**9}
_WAVES = ("sin", "sine", "pulse", "exp", "sffm", "am", "trnoise", "trrandom", "external")


@dataclass(frozen=True)
class SourceValues:
    """`dc` and `ac` in V or A, and `waveform` as (time in s, value) pairs."""

    dc: float = 0.0
    ac: float = 0.0
    waveform: Waveform = ()


def read_source(words: list[str], scope: Scope, relative_times: bool) -> SourceValues:
    """``1``, ``dc 1``, ``dc=1``, ``ac`` (of 1), ``ac 2 180``, ``pwl(0 1 1u 2)``: each at most once, in any order.

    Args:
        words: of the card after the nodes, split at blanks, brackets, commas and after ``dc=`` and ``ac=``.
        scope: the parameters.
        relative_times: whether a pwl time with a plus sign counts from the point before it, as in LTspice, PSpice and HSPICE. ngspice
            takes it from zero, so that it is not supported where the simulator is not known.

    Raises:
        InputError: another waveform, a value given twice, a phase that is neither 0 nor 180 degrees, unusable times.
    """
    left = list(words)
    found: dict[str, list[str]] = {}
    while left:
        key = left[0].lower()
        if key in _WAVES:
            raise InputError(f"the waveform {left[0]!r} is not supported; give dc, ac and pwl values only")
        if not (named := key in _WORDS):
            key = "dc"
            if key in found:
                raise InputError(f"{left[0]!r} is not supported in a source; give dc, ac and pwl values only")
        if key in found:
            raise InputError(f"{key} is given twice; drop one")
        left = left[named:]
        end = next((i for i, word in enumerate(left) if word.lower() in (*_WORDS, *_WAVES)), len(left))
        end = min(end, _WORDS[key])
        found[key], left = left[:end], left[end:]
    values = {key: [scope.number(word) for word in follow] for key, follow in found.items() if key != "pwl"}
    if values.get("dc") == []:
        raise InputError("dc without a value")
    dc = values["dc"][0] if "dc" in values else None
    ac = _amplitude(*values["ac"]) if "ac" in values else 0.0
    if "pwl" not in found:
        return SourceValues(dc or 0.0, ac)
    waveform = _waveform(found["pwl"], scope, relative_times)
    if dc is not None and dc != waveform[0][1]:
        raise InputError(f"dc {dc:g} is not where pwl starts, {waveform[0][1]:g}; drop the dc value")
    return SourceValues(waveform[0][1], ac, waveform)


def _amplitude(size: float = 1.0, degrees: float = 0.0) -> float:
    """ngspice takes the second number for a phase, also where no dc value is given elsewhere."""
    turns = degrees / 180.0
    if turns != round(turns):
        raise InputError(
            f"ac {size:g} {degrees:g}: a phase of {degrees:g} degrees is not supported, only 0 and 180; write dc before a dc value"
        )
    return -size if round(turns) % 2 else size


def _waveform(words: list[str], scope: Scope, relative_times: bool) -> Waveform:
    if len(words) % 2 or not words:
        raise InputError(f"pwl takes pairs of time and value, got {len(words)} numbers")
    pairs: list[tuple[float, float]] = []
    for word, value in zip(words[::2], words[1::2], strict=True):
        time = scope.number(word)
        if word[0] == "+":
            if not relative_times:
                raise InputError(
                    f"pwl time {word!r}: LTspice, PSpice and HSPICE count it from the point before, ngspice from zero; write the times "
                    "from zero, without the plus sign"
                )
            time += pairs[-1][0] if pairs else 0.0
        pairs.append((time, scope.number(value)))
    if pairs[0][0] > 0.0:  # the first value holds before its time, in all simulators
        pairs.insert(0, (0.0, pairs[0][1]))
    return tuple(pairs)
