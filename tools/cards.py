"""Calibrate the cards that come with the package: `make cards`, or

    python -m tools.cards                       (all presets; some 70 s on one core)
    python -m tools.cards integrated --check
    python -m tools.cards --table

Each is what `calibrate(preset)` finds with its defaults: no fewer systems, sizes or dies than `thermograd calibrate` without --quick. It
goes into devicemodel/cards/, where `shipped_card(name)` finds it without ngspice. --check writes nothing, and exits with 1 if a card is
not of the present preset, or differs by more than its standard errors say.
"""

from __future__ import annotations

import argparse
import math
import sys
from importlib import metadata

from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.presets import PRESETS, preset
from thermograd.devicemodel.calibration.simulated import calibrate
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.estimate import Estimate
from thermograd.devicemodel.shipped_cards import FOLDER, shipped_names

SIGMAS = 4.0
"""Standard errors of a difference within which two cards agree."""
TOLERANCE = 0.01
"""Relative difference by which another ngspice may find another figure, beside its standard error."""
EXPLAINED = 0.01
"""Difference of the explained variance that is allowed."""
FITTED = ("gain_error", "gain_mismatch", "offset", "noise")
"""Figures of a converter that a calibration replaces by what it found."""
PACKAGES = ("numpy", "scipy", "torch")


def made(name: str, workers: int | None = 1) -> DeviceCard:
    """The card of a preset, with what it was made by."""
    card = calibrate(name, workers=workers)
    versions = {package: metadata.version(package).partition("+")[0] for package in PACKAGES}
    return card.model_copy(
        update={"provenance": {**card.provenance, **versions, "command": f"python -m tools.cards {name}"}}
    )


def foreign(card: DeviceCard, name: str) -> list[str]:
    """What of a card is not of the present preset: a line for each part whose figures differ, but for those that were fitted."""
    here, there = card.technology, preset(name)
    lines = []
    for part in type(there).model_fields:
        ours, theirs = getattr(here, part), getattr(there, part)
        if isinstance(theirs, Converter):
            ours, theirs = (one.model_copy(update=dict.fromkeys(FITTED, 0.0)) for one in (ours, theirs))
        if ours != theirs:
            lines.append(f"technology.{part} is not that of the preset: make cards NAMES={name}")
    return lines


def differences(old: DeviceCard, new: DeviceCard) -> list[str]:
    """A line for each figure in which two calibrations differ by more than chance."""
    lines = []
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, Estimate):
            allowed = SIGMAS * math.hypot(before.std, after.std) + TOLERANCE * abs(before.value)
            if not abs(before.value - after.value) <= allowed:
                lines.append(f"{name} is {before} in the card, and now {after}")
    for name in ("explained_variance", "explained_variance_new_dies"):
        was, now = getattr(old.held_out, name), getattr(new.held_out, name)
        if not abs(was - now) <= EXPLAINED:
            lines.append(f"held_out.{name} is {was:.4f} in the card, and now {now:.4f}")
    for name in ("unknowns", "condition_number"):
        was, now = getattr(old.validity, name), getattr(new.validity, name)
        if not all(math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(was, now, strict=True)):
            lines.append(f"validity.{name} is {was} in the card, and now {now}")
    return lines


def table() -> str:
    """The shipped cards in Markdown, for docs/cards.md."""
    rows = [
        "| card | fabric | unknowns | condition number | error of SPICE's solutions | left unexplained | explained: systems, dies |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in shipped_names():
        card = DeviceCard.read(FOLDER / f"{name}.json")
        held, (few, many) = card.held_out, card.validity.unknowns
        condition, explained = (
            card.validity.condition_number[1],
            (held.explained_variance, held.explained_variance_new_dies),
        )
        rows.append(
            f"| `shipped:{name}` | {card.fabric} | {few} to {many} | up to {condition:.3g} | {held.spice_error:.2g} | "
            f"{held.residual:.2g} | {explained[0]:.4f}, {explained[1]:.4f} |"
        )
    return "\n".join([*rows, ""])


def main(arguments: list[str] | None = None) -> int:
    """Make or check cards; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PRESETS)}; default: all")
    parser.add_argument("--check", action="store_true", help="compare with the cards that are there")
    parser.add_argument("--table", action="store_true", help="print the cards' figures; no ngspice is needed")
    options = parser.parse_args(arguments)
    if options.table:
        sys.stdout.write(table())
        return 0
    if unknown := [name for name in options.names if name not in PRESETS]:
        parser.error(f"{unknown[0]!r} is no preset; there are: {', '.join(PRESETS)}")
    stale = 0
    for name in options.names or PRESETS:
        path = FOLDER / f"{name}.json"
        if not options.check:
            made(name).write(path)
            sys.stdout.write(f"wrote {path}\n")
            continue
        there = DeviceCard.read(path)
        for line in [*foreign(there, name), *differences(there, made(name))]:
            sys.stdout.write(f"{name}: {line}\n")
            stale += 1
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
