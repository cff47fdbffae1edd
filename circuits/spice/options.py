"""`.options` and `.temp`: the temperature, and whether all else leaves the circuit what it is.

Names are those of the ngspice manual's chapter "Simulator variables (.options)", of LTspice's reference ".OPTIONS" and of the Xyce
Reference Guide's ".OPTIONS". What is in none of the tables here is rejected, since it may change the circuit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from scipy import constants

from ..errors import InputError
from ..netlist.semiconductors import NOMINAL_CELSIUS
from .expressions import Scope
from .lexer import Card

OPTION_CARDS = (".options", ".option", ".opts", ".opt")
#: Packages of Xyce that only steer its numerics and output; all that a card says behind one of these is passed over.
_SOLVER_PACKAGES = (
    "timeint nonlin nonlin-tran nonlin-hb linsol linsol-hb linsol-ac output restart hbint measure fft dist loca diagnostic samples "
    "sensitivity"
)
_XYCE_SOLVERS = frozenset(_SOLVER_PACKAGES.split())
_XYCE_DEVICES = ("device", "parser")
#: Options that change how a simulator works or what it writes, and no circuit.
_SOLVER_OPTIONS = (
    # ngspice
    "acct noacct list nolist nomod nopage node nonode opts noopts numdgt cptime limtim limpts lvlcod lvltim warn maxwarns noopiter noopac "
    "keepopinfo savecurrents nosavecurrents savecurrents_bsim3 savecurrents_bsim4 savecurrents_mos1 reltol abstol vntol trtol chgtol "
    "pivtol pivrel itl1 itl2 itl3 itl4 itl5 itl6 srcsteps gminsteps gminfactor method maxord xmu minbreak bypass interp noinit "
    "autostop trytocompact oldlimit seed seedinfo num_threads klu sparse indverbosity nodedamping absdv reldv copynodesets maxopalter "
    "maxevtiter noopalter convlimit convstep convabsstep autopartial "
    # LTspice
    "baudrate delay ddmaxstep debugtran fastaccess flagloads logopinfo logparams maxclocks minclocks startclocks maxstep meascplxfmt "
    "measdgt mindeltagmin nomarch plotreltol plotvntol plotabstol plotwinsize ptranmax ptrantau reject_number_tails solver sstol "
    "ststclocks ststdelay srcstepmethod topologycheck trtol2 "
    # PSpice, HSPICE
    "post probe ingold nopg brief runlvl accurate lvltim stepgmin preordr noecho noreuse nobias "
    # Xyce
    "debuglevel voltlim b3soivoltlim lead_current_calc model_binning "
    # gnucap, whose ideal sources have a small resistance
    "short"
)
_SOLVER = frozenset(_SOLVER_OPTIONS.split())
#: Options that reach diodes, transistors and switches only -> the value at which they change nothing; None: there is none.
_DEVICES: dict[str, float | None] = {
    "tnom": NOMINAL_CELSIUS,
    "gmin": 1e-12,
    **dict.fromkeys(("scale", "scalm", "defl", "defw", "defad", "defas", "badmos3"), None),
    "defm": 1.0,
}
#: LTspice's inductors are ideal, as those here, with these values alone.
_IDEAL = {"thev_induc": 1.0, "dampinductors": 0.0}
_SHUNT = "add the resistors instead: one from each node to ground (R9 node 0 1k noisy=0); or remove the option"
_REMEDIES = {
    "rshunt": _SHUNT,
    "gshunt": _SHUNT,
    "gfloat": _SHUNT,
    **dict.fromkeys(
        ("cshunt", "cshuntintern"), "add the capacitors instead: one from each node to ground; or remove the option"
    ),
    "ramptime": "give the sources a ramp by pwl instead; or remove the option",
}


def temperature(cards: Iterable[Card], scope: Scope) -> float:
    """The temperature in force, K: that of `.temp` wherever it stands, else of the option ``temp``, else 27 C.

    Raises:
        InputError: by line: more than one temperature, one without a value, or one below absolute zero.
    """
    found: dict[bool, tuple[float, Card]] = {}
    for card in cards:
        by_temp = card.words[0].lower() == ".temp"
        for text in _temperatures(card):
            try:
                celsius = scope.number(text)
                if not -constants.zero_Celsius < celsius < 1e6:
                    raise InputError(f"temperature = {celsius:g} C, but it must be above absolute zero")
                before, where = found.setdefault(by_temp, (celsius, card))
                if before != celsius:
                    raise InputError(
                        f"the temperature is {before:g} C on line {where.number}; drop one of the two (ngspice takes one of them, other "
                        "simulators run once for each)"
                    )
            except InputError as error:
                raise card.error(str(error)) from None
    celsius = found.get(True, found.get(False, (NOMINAL_CELSIUS, None)))[0]
    return celsius + constants.zero_Celsius


def _temperatures(card: Card) -> Iterator[str]:
    """What a card gives as the temperature, in Celsius."""
    if card.words[0].lower() == ".temp":
        if len(card.words) != 2:
            raise card.error("one temperature, in Celsius, is needed; run the netlist once for each")
        if card.words[1][:1] != "{" and not re.fullmatch(r"[-+0-9.e]+", card.words[1], re.IGNORECASE):
            raise card.error("a plain number is needed: ngspice takes no suffix or unit here, and 27 C in its place")
        yield card.words[1]
    elif card.words[0].lower() in OPTION_CARDS:
        for name, _, value in _named(card):
            if name == "temp":
                yield value


def check_options(cards: Iterable[Card]) -> None:
    """Raise at an option that changes the circuit, or that is not known."""
    for card in cards:
        for name, equals, value in _named(card):
            if name in _SOLVER or (name in _DEVICES and (equals or name == "badmos3")):
                continue  # those of devices are checked where there are devices
            if name in _REMEDIES:
                raise card.error(f"the option {name} changes the circuit and is not supported: {_REMEDIES[name]}")
            if name in ("temp", *_DEVICES):
                if equals and value:
                    continue
                raise card.error(f"the option {name} has no value; write {name}=VALUE")
            if name in _IDEAL:
                if value.isdecimal() and float(value) == _IDEAL[name]:
                    continue
                raise card.error(f"inductors are ideal here; write {name}={_IDEAL[name]:g}, or remove the option")
            raise card.error(
                f"the option {name!r} is not known and may change the circuit; remove it, or write name=value if it is a value"
            )


def check_device_options(card: Card, scope: Scope) -> None:
    """Raise at options that would change the devices, which the parts here do not follow."""
    for name, _, value in _named(card):
        if name not in _DEVICES:
            continue
        neutral = _DEVICES[name]
        if neutral is None:
            raise card.error(f"the option {name} is not supported; write the devices' own sizes out")
        try:
            given = scope.number(value)
        except InputError as error:
            raise card.error(str(error)) from None
        if given != neutral:
            remedy = f"give {name}=... in the .model cards instead" if name == "tnom" else "remove the option"
            raise card.error(f"{name} is {neutral:g}{' C' if name == 'tnom' else ''} here; {remedy}")


def _named(card: Card) -> Iterator[tuple[str, str, str]]:
    """Lower-case name, equals sign and value of each option, without Xyce's packages; commas separate, too."""
    words = [word for entry in card.words[1:] for word in entry.split(",") if word]
    if words and words[0].lower() in _XYCE_SOLVERS:
        return
    if words and words[0].lower() in _XYCE_DEVICES:
        words = words[1:]
    for word in words:
        name, equals, value = word.partition("=")
        yield name.lower(), equals, value
