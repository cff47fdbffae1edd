"""What the winner is compared with, as a table."""

from __future__ import annotations

from ..formatting import si
from . import units
from .result_file import CodesignFile, Design, Reference
from .specification import unsourced_of

REFERENCE_HEADS = ("", "score", "energy", "time", "area")


def host_sentence(result: CodesignFile) -> str:
    """What the host is, which trains without a die as well; "" where the file does not say."""
    host = result.host
    if host is None or host.rate is None:
        return ""
    powers = f"{si(host.power, 'W')} at work" + (
        f", {si(host.idle_power, 'W')} waiting" if host.idle_power is not None else ""
    )
    return (
        f"The host, beside the array or alone, is the cost model's GPU: {si(host.rate, 'FLOP/s')}, {powers} (by default an A100 at 30 % of "
        "its peak). Exact NGD on the host is that GPU's own training."
    )


def references(result: CodesignFile) -> list[list[str]]:
    """Rows of `REFERENCE_HEADS`: the winner first; of the others each cost and, in brackets, its ratio to the winner's."""
    winner = result.design(result.winner)
    rows = []
    if winner is not None:
        confirmed = result.confirmation.mean if result.confirmation is not None else None
        score = winner.scores.get(result.score.name) if confirmed is None else confirmed
        own = Reference(
            name=f"design {winner.number} ★", seconds=winner.seconds, joules=winner.joules, area=winner.area, score=score,
            unsourced=winner.unsourced,
        )  # fmt: skip
        rows.append(_reference_row(own, None, result.score.percent))
    return rows + [_reference_row(one, winner, result.score.percent) for one in result.references]


def _reference_row(one: Reference, winner: Design | None, percent: bool) -> list[str]:
    def cell(name: str, text: str) -> str:
        value, own = getattr(one, name), getattr(winner, name, None)
        note = " †" if value is not None and unsourced_of(one.unsourced, area=name == "area") else ""
        return f"{text}{note}" + (f" ({units.times(value / own)})" if value is not None and own else "")

    return [
        f"{one.name} ({one.note})" if one.note else one.name,
        units.score(one.score, percent),
        cell("joules", units.joules(one.joules)),
        cell("seconds", units.seconds(one.seconds)),
        cell("area", units.area(one.area)),
    ]
