"""A Monte-Carlo deck: the netlist of a program with every part's own deviate in it, and the commands that run it for die after die.

In a part's expression stands its deviation by the law of `technology.parts.Variation`, with the same standard deviations as in the report,

    R1_2  {unit_r*3.98*exp(agauss(0,tolerances*r_mismatch,1)+r_shift)}        VOS1  {offset+agauss(0,tolerances*offset_deviation,1)}

drawn anew by the simulator for each die. Programmed conductances that err by more (`conductance_errors`) are written as such,

    R1_2  {1/max((1+agauss(0,tolerances*g_share,1))/(unit_r*3.98*exp(...))+agauss(0,tolerances*g_error,1),1e-9/unit_r)}

of a first programming in each die, and cut off at a 1e-9 of the largest conductance where a circuit's would be 0.
`tolerances` scales all of them; at 0 a die is the nominal one. The temperature is nominal, too.
"""

from __future__ import annotations

import math
import re
from typing import Any

from ...circuits.amplifiers.models import AmplifierCell
from ...circuits.errors import InputError, UnrealisableError
from ...circuits.netlist.analyses import OperatingPoint
from ...circuits.spice.parameters import Parameter, Parameters
from ...circuits.spice.writer import write_spice
from ...circuits.technology.parts import Resistors, Variation
from ..analysis.deviations import Deviation, deviations
from ..analysis.die_spread import DieSpread, die_spread
from ..analysis.die_yield import die_yield
from ..conductance_errors import errs, full_conductance
from ..perturbation import Programmed
from ..program import AnalogProgram
from .parametric import parametric_netlist
from .simulators import SIMULATORS, Runs, Simulator

LARGEST_SEED = 2**31 - 2
LARGEST_COUNT = 1_000_000
_A_LINE = 6
DOUBTFUL = 0.25
"""Relative error by tolerances, to first order, from which dies may have a growing mode."""
_CUT = "1e-9"
_DEVIATE = "_z"
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def monte_carlo_spice(
    program: AnalogProgram,
    b: Any,
    dies: int,
    dialect: str = "ngspice",
    hierarchical: bool = False,
    amplifier: AmplifierCell | None = None,
    seed: int = 0,
    results: str = "dies.txt",
) -> str:
    """The text of a deck that solves for b on many dies and states the spread of each unknown.

    Args:
        program: nominal, not on a die. b: (n,) right-hand side.
        dies: how many, two or more.
        dialect: "ngspice", "ltspice" or "xyce". hierarchical: as for `AnalogProgram.to_spice`.
        amplifier: as for `AnalogProgram.netlist`; an offset is in series with the input of whatever stands for an amplifier.
        seed: another one draws other dies. LTspice has no card for a seed.
        results: name of the file in the current folder that ngspice writes the solutions to.

    Raises:
        InputError: fewer than two dies; a technology without tolerances that a reading at rest shows; a b that is zero or does not fit;
            a seed or a name of a file that is not usable. UnrealisableError: a fabric without dies.
    """
    _check(dialect, dies, seed, results)
    if not isinstance(program.analysis(), OperatingPoint):
        raise UnrealisableError(f"fabric {program.fabric_name} is not read at rest, so it has no Monte-Carlo deck")
    varied = deviations(program)
    kinds = {deviation.kind for deviation in varied.values()}
    technology, resistors = program.technology, program.technology.resistors
    offsets = "offset" in kinds and technology.opamp.offset_mismatch
    programming = errs(resistors) and any(one.programmed for one in varied.values())
    if not (offsets or programming or resistors.mismatch or resistors.die_to_die or resistors.gradient):
        remedy = " or opamp.offset" if "offset" in kinds else ""
        raise InputError(
            f"technology {technology.name} has no tolerances that a reading shows: every die would be the same; set resistors.tolerance"
            f"{remedy}, or take a technology that has them, such as integrated"
        )
    if b is None:
        raise InputError("a Monte-Carlo deck spreads the solution of one right-hand side; give b")
    netlist, shared = parametric_netlist(program, b, amplifier)
    simulator = SIMULATORS[dialect]
    cards, expressions = _varied(program, varied, shared, simulator)
    scale = (program.readout_scale / program.volts_per_unit).tolist()
    spread = die_spread(program, b)
    predicted = tuple(spread.deviation.tolist()), spread.relative_error
    drawn = tuple(card.name for card in cards if card.name.endswith(_DEVIATE))
    runs = Runs(dies, 1 + seed, program.readouts, tuple(scale), drawn, *predicted, results)
    header = [*_header(program, spread, dies), *_growing(program, spread, b), *simulator.notes(runs)]
    netlist = netlist.with_sources({}, [*netlist.comments, *header])
    text = write_spice(netlist, dialect, program.analysis(), hierarchical, Parameters(cards, expressions))
    return text.removesuffix(".end\n") + "\n".join([*simulator.commands(runs), ".end", ""])


def _varied(
    program: AnalogProgram, varied: dict[str, Deviation], shared: Parameters, simulator: Simulator
) -> tuple[list[Parameter], dict[str, str]]:
    """The cards and expressions of `shared` with each part's deviation."""
    technology, kinds = program.technology, {deviation.kind for deviation in varied.values()}
    cards = [*shared.cards, Parameter("tolerances", 1.0, "factor on all standard deviations below; 0: nominal dies")]
    expressions, shares = dict(shared.expressions), {}
    for kind, letter, symbol, variation in (
        ("resistor", "r", "R", technology.resistors),
        ("capacitor", "c", "C", technology.capacitors),
    ):
        if kind in kinds:
            shares[kind] = letter, variation
            cards += _cards_of(letter, symbol, variation, simulator)
    if errs(technology.resistors):
        cards += _programming_cards(technology.resistors)
    offset = technology.opamp.offset_mismatch
    if "offset" in kinds and offset:
        cards.append(Parameter("offset_deviation", offset, "standard deviation of each amplifier's offset voltage, V"))
    for name, deviation in varied.items():
        if deviation.kind == "offset":
            if offset:
                expressions[name] += f"+{simulator.normal('tolerances*offset_deviation')}"
            continue
        exponent = _exponent(*shares[deviation.kind], deviation, simulator)
        if exponent:
            expressions[name] += f"*exp({exponent})"
        if deviation.programmed:
            expressions[name] = _written(expressions[name], deviation.programmed, technology.resistors, simulator)
    return cards, expressions


def _programming_cards(resistors: Resistors) -> list[Parameter]:
    error = math.hypot(resistors.range_error, resistors.write_noise) / resistors.unit
    share = math.hypot(resistors.relative_write_noise, resistors.read_noise)
    cards = (
        [Parameter("g_error", error, "standard deviation of what a programmed conductance is off by, S")]
        if error
        else []
    )
    if share:
        cards.append(Parameter("g_share", share, "the same of what is a share of the conductance"))
    return cards


def _written(resistance: str, kind: Programmed, resistors: Resistors, simulator: Simulator) -> str:
    """The resistance of a part with what programming and reading make it err by."""
    conductance = f"1/({resistance})"
    if resistors.relative_write_noise or resistors.read_noise:
        conductance = f"(1+{simulator.normal('tolerances*g_share')})/({resistance})"
    if resistors.range_error or resistors.write_noise:
        share = full_conductance(resistors, kind) * resistors.unit
        error = "tolerances*g_error" if share == 1.0 else f"tolerances*g_error*{share!r}"
        conductance = f"{conductance}+{simulator.normal(error)}"
    return f"1/max({conductance},{_CUT}/unit_r)"


def _cards_of(letter: str, symbol: str, variation: Variation, simulator: Simulator) -> list[Parameter]:
    """The standard deviations of one kind of part, and what all of a die's have in common, drawn for each die."""
    cards = []
    if variation.mismatch:
        meaning = f"standard deviation of ln({symbol}) of each part on its own"
        cards.append(Parameter(f"{letter}_mismatch", variation.mismatch, meaning))
    if variation.die_to_die:
        meaning = f"standard deviation of ln({symbol}) from die to die"
        cards.append(Parameter(f"{letter}_die_to_die", variation.die_to_die, meaning))
        cards += _shared(f"{letter}_shift", f"tolerances*{letter}_die_to_die", simulator)
    if variation.gradient:
        meaning = f"standard deviation of the change of ln({symbol}) from edge to edge"
        cards.append(Parameter(f"{letter}_gradient", variation.gradient, meaning))
        cards += _shared(f"{letter}_down", f"tolerances*{letter}_gradient", simulator)
        cards += _shared(f"{letter}_across", f"tolerances*{letter}_gradient", simulator)
    return cards


def _shared(name: str, deviation: str, simulator: Simulator) -> list[Parameter]:
    """A deviation that all parts of a die have in common, and the standard normal deviate behind it."""
    meaning = "standard normal deviate of this die, drawn for each die"
    return [
        Parameter(f"{name}{_DEVIATE}", simulator.shared(), meaning, simulator.card),
        Parameter(name, f"{deviation}*{name}{_DEVIATE}", "", simulator.card),
    ]


def _exponent(letter: str, variation: Variation, deviation: Deviation, simulator: Simulator) -> str:
    """ln(value / nominal) of a part; "" where it does not vary."""
    terms = [simulator.normal(f"tolerances*{letter}_mismatch")] if variation.mismatch else []
    if variation.die_to_die:
        terms.append(f"{letter}_shift")
    if variation.gradient:
        terms += [f"{deviation.row:.9g}*{letter}_down", f"{deviation.column:.9g}*{letter}_across"]
    return "+".join(terms).replace("+-", "-")


def _header(program: AnalogProgram, spread: DieSpread, dies: int) -> list[str]:
    """What the deck is, and the report's figures that it is to be compared with."""
    shown = [f"x{k + 1} {value:.4g}" for k, value in enumerate(spread.deviation)]
    return [
        f"Monte-Carlo deck: {dies} dies, each part with its own deviate of technology {program.technology.name}",
        f"predicted to first order for these values: relative rms error over dies {spread.relative_error:.4g}, standard deviations",
        *(", ".join(shown[start : start + _A_LINE]) for start in range(0, len(shown), _A_LINE)),
    ]


def _growing(program: AnalogProgram, spread: DieSpread, b: Any) -> list[str]:
    """What the report finds on its own dies, where the prediction to first order is too large to hold."""
    if spread.resistors < DOUBTFUL:
        return []
    found = die_yield(program, b)
    inner = (
        ""
        if found.parts is None
        else f"; median error of the others by tolerances {found.parts.median:.4g}, 95 % below {found.parts.high:.4g}"
    )
    return [
        f"which does not hold: in the report {found.growing}{inner}",
        "an operating point is found for dies with a growing mode, too, which no such die ever rests at",
    ]


def _check(dialect: str, dies: int, seed: int, results: str) -> None:
    if dialect not in SIMULATORS:
        raise InputError(f"dialect {dialect!r} has no Monte-Carlo deck; those of {', '.join(SIMULATORS)} have one")
    if not isinstance(dies, int) or not 2 <= dies <= LARGEST_COUNT:
        raise InputError(f"dies = {dies!r}: a Monte-Carlo deck has from 2 to {LARGEST_COUNT} dies; give 200 or so")
    if not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"seed = {seed!r}: an integer from 0 to {LARGEST_SEED} is needed")
    if not isinstance(results, str) or not _FILE.fullmatch(results):
        raise InputError(
            f"results = {results!r}: a file's name of letters, digits, '_', '.' and '-' is needed, without a folder"
        )
