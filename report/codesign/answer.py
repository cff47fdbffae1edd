"""What came of the search, in sentences: the winner, whether a die pays, what matters, what SPICE says, where it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from . import units
from .result_file import CodesignFile, Confirmation, KnobAxis, Number
from .specification import unsourced_of

HOST = "on the host"
"""In the names of references that need no die."""


def title(result: CodesignFile) -> str:
    """Of the page."""
    return f"Co-design: {result.task}"


def answer(result: CodesignFile) -> list[str]:
    """The verdict on the target, and on the die against no die."""
    winner = result.design(result.winner)
    if winner is None:
        return [_nothing(result)]
    percent = result.score.percent
    verdict = (
        "the cheapest found that meets the target" if winner.feasible else "the nearest found, and misses the target"
    )
    reached = units.score(winner.scores.get(result.score.name), percent)
    exact = units.score(result.baseline.exact_ngd, percent)
    if result.confirmation is not None and result.confirmation.mean is not None:
        reached, exact = (
            _confirmed(result.confirmation, percent),
            units.score(_mean(result.confirmation.exact_ngd), percent),
        )
    costs, area = (
        " (in part from unsourced prices)" if unsourced_of(winner.unsourced, of_area) else ""
        for of_area in (False, True)
    )
    first = (
        f"Design {winner.number} is {verdict}: {result.score.name} {reached}; exact NGD {exact}. Its training takes "
        f"{units.joules(winner.joules)} and {units.seconds(winner.seconds)}{costs}; its area is {units.area(winner.area)}{area}."
    )
    return [first, *_without_die(result, winner.joules, winner.seconds)]


def _nothing(result: CodesignFile) -> str:
    tried = f"{len(result.designs)} design{'s' if len(result.designs) != 1 else ''} tried"
    said = f"No design was found that meets the target ({tried})."
    if result.confirmation is None or result.confirmation.mean is None:
        return said
    reached = _confirmed(result.confirmation, result.score.percent)
    return f"{said} The last one that met it in the search missed it on further dies and seeds: {result.score.name} {reached}."


def _confirmed(confirmation: Confirmation, percent: bool) -> str:
    spread = f" ± {units.score(confirmation.std, percent)}" if confirmation.std is not None else ""
    runs = f"{_counted(confirmation.dies, 'die')} × {_counted(confirmation.seeds, 'seed')}"
    return f"{units.score(confirmation.mean, percent)}{spread} over {runs}"


def _mean(values: Sequence[Number]) -> Number:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _without_die(result: CodesignFile, joules: Number, seconds: Number) -> list[str]:
    """Whether the die pays against the host alone: the reference that is best in each of energy and time."""
    hosts = [one for one in result.references if HOST in one.name]
    parts, pays = [], []
    for what, own, values in (
        ("energy", joules, [(one.joules, one) for one in hosts]),
        ("time", seconds, [(one.seconds, one) for one in hosts]),
    ):
        known = [(value, one) for value, one in values if value]
        if not own or not known:
            continue
        best, reference = min(known, key=lambda pair: pair[0])
        better = own < best
        factor = units.times(best / own if better else own / best)
        parts.append(f"{factor} {'less' if better else 'more'} {what} than {reference.name} ({_cost(what, best)})")
        pays.append((what, better))
    if not parts:
        return []
    good, bad = [what for what, better in pays if better], [what for what, better in pays if not better]
    if not good:
        verdict = f"The die does not pay, in {' or '.join(bad)}"
    elif bad:
        verdict = f"The die pays in {' and '.join(good)} and not in {' and '.join(bad)}"
    else:
        verdict = f"The die pays, in {' and '.join(good)}"
    return [f"No die: the winner takes {', '.join(parts)}. {verdict}, by this cost model."]


def _cost(what: str, value: float) -> str:
    return units.joules(value) if what == "energy" else units.seconds(value)


def _counted(values: Sequence[int], word: str) -> str:
    return f"{len(values)} {word}{'s' if len(values) != 1 else ''}"


def sensitivity_sentence(result: CodesignFile, knobs: dict[str, KnobAxis]) -> str:
    """Which figures to spend money on: those whose total index is above its interval, the largest first; "" if none was computed."""
    if result.sensitivity is None or not result.sensitivity.knobs:
        return ""
    found = sorted(result.sensitivity.knobs.items(), key=lambda item: -(item[1].total or 0.0))
    clear = [(name, one.total) for name, one in found if one.total and one.total > max(0.05, one.total_conf or 0.0)]
    if not clear:
        return f"No figure stands out: none makes more of the variance of {result.sensitivity.score} than its interval."
    named = [f"{knobs[name].title if name in knobs else name} ({units.share(total)})" for name, total in clear[:3]]
    idle = [knobs[name].title if name in knobs else name for name, one in found if name not in dict(clear)]
    rest = f" Within this range it hardly depends on: {', '.join(idle)}." if idle else ""
    return f"The {result.sensitivity.score} depends most on {', then '.join(named)}, interactions included.{rest}"


def spice(result: CodesignFile) -> list[str]:
    """What was checked in ngspice and how well it agreed; says so where nothing was."""
    check = result.confirmation.spice if result.confirmation is not None else None
    if check is None or not check.solves:
        note = f" ({result.confirmation.note})" if result.confirmation is not None and result.confirmation.note else ""
        return [f"Nothing was checked in SPICE{note}: all figures here are the surrogate's."]
    error = f" ± {units.fine_share(check.std)}" if check.std is not None else ""
    return [
        f"{check.solves} solve{'s' if check.solves != 1 else ''} of the winner's own training were repeated in ngspice, on the same dies "
        f"and netlists: relative rms difference to the surrogate {units.fine_share(check.difference)}{error}.",
        "All else here is the surrogate's; seconds, joules and areas are the cost model's, which ngspice does not check.",
    ]


def provenance(result: CodesignFile) -> list[tuple[str, str]]:
    """Rows of a name and a text: what was searched, how long, with which seeds and version."""
    levels = [sum(design.fidelity == level for design in result.designs) for level in ("solve", "short", "full")]
    rows = [
        (
            "designs",
            f"{len(result.designs)}: {levels[0]} by the error of a solve, {levels[1]} by a short training, {levels[2]} by a whole one",
        ),
        ("knobs", ", ".join(f"{knob.name} {_range(knob)}".strip() for knob in result.knobs)),
    ]
    training = [
        f"{count} {word}" for count, word in ((result.steps, "steps"), (result.batch, "samples a step")) if count
    ]
    if training:
        rows.append(("a training", ", ".join(training)))
    if result.card:
        rows.append(("searched from", result.card))
    if result.by:
        rows.append(("cheapest by", "the product of all costs" if result.by == "product" else result.by))
    if result.hours is not None:
        rows.append(("search", units.seconds(3600 * result.hours)))
    if result.baseline.seeds:
        values = ", ".join(units.score(value, result.score.percent) for value in result.baseline.values)
        rows.append(("exact NGD", f"{values} (seeds {', '.join(map(str, result.baseline.seeds))})"))
    rows.append(("seeds", ", ".join(map(str, result.seeds)) or units.NONE))
    if result.dies:
        rows.append(("dies", ", ".join(map(str, result.dies))))
    if result.confirmation is not None:
        rows.append(("confirmed on dies", ", ".join(map(str, result.confirmation.dies)) or units.NONE))
    rows.append(("version", f"thermograd {result.version}"))
    return rows


def _range(knob: KnobAxis) -> str:
    if knob.choices:
        return f"({', '.join(units.setting(value, knob.unit) for value in knob.choices)})"
    if knob.low is None or knob.high is None:
        return ""
    return (
        f"({units.setting(knob.low, knob.unit)} to {units.setting(knob.high, knob.unit)}{', log' if knob.log else ''})"
    )
