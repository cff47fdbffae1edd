"""Whether a text is read as ngspice reads it."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thermograd.circuits.errors import InputError, NetlistError
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import Inductor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.spice.read import read_spice

from . import candidate
from .reference import AC, NOISE, OPERATING, TRANSIENT, Plot, Reference, is_safe, simulate

#: Largest difference relative to the largest voltage: at rest and in frequency; with a diode, whose Newton steps end at reltol = 1e-3;
#: and at a transient's end, where both integrate.
_EXACT, _NEWTON, _TRANSIENT = 1e-6, 3e-3, 2e-2


class Kind(enum.Enum):
    """What came of a text."""

    EQUAL = "equal"
    REJECTED = "rejected by the reader with a message"
    ALONE = "read, but ngspice has no operating point"
    DIFFERENT = "read as another circuit"
    CRASH = "the reader failed without a message"
    UNSAFE = "not given to ngspice"


@dataclass(frozen=True)
class Verdict:
    """`kind`, the first `detail` that decided it, and `compared`: the analyses whose numbers were compared."""

    kind: Kind
    detail: str = ""
    compared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What a text's outputs do to the list of nodes: `partly` if they choose among them, and the nodes that they alone `mentioned`."""

    partly: bool
    mentioned: frozenset[str]

    @classmethod
    def of(cls, cards: Sequence[str]) -> Asked:
        """By the cards with a dot."""
        chosen = any(re.match(r"\s*\.(save|probe|print)", card) for card in cards)
        named = (
            name
            for card in cards
            for pair in re.findall(r"v\s*\(([^()]*)\)", card)
            for name in re.split(r"[,\s]+", pair)
        )
        return cls(chosen, frozenset(candidate.outer_name(name) for name in named))


def _cards(data: bytes) -> list[str]:
    """All cards, continuations joined and comments left out, in lower case."""
    text = re.sub(r";.*|\s\$.*", "", data.decode("latin-1").lower().replace("\r", ""))
    text = re.sub(r"\n(\s*\n|\*.*\n)*\s*\+", " ", text)
    return [line.strip() for line in text.split("\n")[1:]]


def judge(data: bytes, folder: Path) -> Verdict:
    """Read a text, solve it, have ngspice solve the original and what the reader would write of it, and compare."""
    if not is_safe(data.decode("latin-1")):
        return Verdict(Kind.UNSAFE)
    path = folder / "input.cir"
    path.write_bytes(data)
    try:
        netlist = read_spice(path)
        netlist.check()
    except (InputError, NetlistError) as error:
        return Verdict(Kind.REJECTED, str(error))
    except Exception as error:  # noqa: BLE001  (what must not happen, whatever it is)
        return Verdict(Kind.CRASH, f"{type(error).__name__}: {error}")
    # By decision both micro signs are 1e-6 here, as in LTspice; ngspice passes them over: 9 for 9μ.
    answer = simulate(data.replace("µ".encode(), b"u").replace("μ".encode(), b"u"), folder)
    rest = answer.plots.get(OPERATING)
    if rest is None or not _is_finite(rest):
        return Verdict(Kind.ALONE, answer.complaints[0] if answer.complaints else "no operating point")
    text = netlist.to_spice(analysis=OperatingPoint())
    again = simulate(text.encode(), folder).plots.get(OPERATING)
    cards = _cards(data)
    asked = Asked.of([card for card in cards if card[:1] == "."])
    if again is None or not _is_finite(again):
        return Verdict(Kind.DIFFERENT, "what is written of it has no operating point")
    compared = ["written"]
    if why := _differs(
        _voltages(rest),
        {name: complex(v[0]) for name, v in again.values.items() if _is_voltage(name)},
        _EXACT if netlist.is_linear else _NEWTON,
        asked,
    ):
        return Verdict(Kind.DIFFERENT, f"written: {why}")
    if netlist.is_linear:
        for what, why in _solved(netlist, answer, cards, asked):
            if why:
                return Verdict(Kind.DIFFERENT, f"{what}: {why}")
            compared.append(what)
    return Verdict(Kind.EQUAL, answer.complaints[0] if answer.complaints else "", tuple(compared))


def _solved(netlist: Netlist, answer: Reference, cards: Sequence[str], asked: Asked) -> Iterator[tuple[str, str]]:
    """Each analysis that both could do, and how the results differ."""
    try:
        yield "op", _differs(_voltages(answer.plots[OPERATING]), candidate.at_rest(netlist), _EXACT, asked)
        if AC in answer.plots:
            plot = answer.plots[AC]
            for place, hertz in enumerate(plot.scale.real.tolist()):
                yield "ac", _differs(_voltages(plot, place), candidate.at_frequency(netlist, hertz), _EXACT, asked)
        transient = answer.plots.get(TRANSIENT)
        tran = [card for card in cards if card.startswith(".tran")]
        if transient is not None and len(transient.scale) and len(tran) == 1 and not netlist.of(Inductor):
            found = candidate.after(netlist, float(transient.scale[-1].real), "uic" in tran[0].split())
            yield "tran", _differs(_voltages(transient, -1), found, _TRANSIENT, asked)
        density = answer.plots.get(NOISE)
        noise = [match[1] for card in cards if (match := re.match(r"\.noise\s+v\s*\(\s*([^\s,()]+)\s*\)", card))]
        own = any(card[:1] == "r" and re.search(r"\btemp\s*=", card) for card in cards)  # ngspice's noise ignores it
        if density is not None and len(noise) == 1 and not own and "onoise_spectrum" in density.values:
            yield "noise", _noise_differs(netlist, candidate.outer_name(noise[0]), density)
    except (InputError, NetlistError, RuntimeError, KeyError):
        return  # unstable or singular to the linear engines, or the output is not there: nothing to compare


def _noise_differs(netlist: Netlist, node: str, plot: Plot) -> str:
    wanted = plot.values["onoise_spectrum"].real
    found = candidate.noise_at(netlist, node, plot.scale.real)
    if np.abs(found - wanted).max(initial=0.0) <= _EXACT * np.abs(wanted).max(initial=0.0) + 1e-18:
        return ""
    return f"v({node}): {found} for {wanted} V/rtHz"


def _differs(wanted: Mapping[str, complex], found: Mapping[str, complex], tolerance: float, asked: Asked) -> str:
    """Which node differs most, or ""."""
    if set(wanted) - set(found) - asked.mentioned or (not asked.partly and set(found) - set(wanted)):
        return f"other nodes, {sorted(found)} for {sorted(wanted)}"
    size = max([abs(v) for v in (*wanted.values(), *found.values())], default=0.0)
    far = {name: abs(wanted[name] - found[name]) for name in wanted if name in found}
    name = max(far, key=far.__getitem__, default="")
    if name and not far[name] <= tolerance * size + 1e-12:
        return f"voltage v({name}) = {found[name]:.9g} for {wanted[name]:.9g}"
    return ""


def _voltages(plot: Plot, place: int = 0) -> dict[str, complex]:
    return {candidate.outer_name(name): complex(v[place]) for name, v in plot.values.items() if _is_voltage(name)}


def _is_voltage(name: str) -> bool:
    return not name.startswith("i(") and "#" not in name and name not in ("frequency", "time")


def _is_finite(plot: Plot) -> bool:
    return all(np.isfinite(v).all() for v in plot.values.values())
