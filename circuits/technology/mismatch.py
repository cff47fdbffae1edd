"""Mismatch of the transistors of a netlist: what a die's seed draws for each of them, and the netlist that has it.

Each transistor's own deviations go into ngspice as instance parameters of BSIM4,

    delvto = dV (V, towards a larger |V_th|: with the sign of the threshold),      mulu0 = exp(dlnb),

so that a seed is the same die in every process, without ngspice's own random numbers, which cannot be seeded.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..netlist.netlist import Netlist
from ..netlist.semiconductors import Mosfet
from .die import transistor_deviates
from .pdk.pelgrom import Pelgrom


@dataclass(frozen=True)
class Transistor:
    """One transistor of a netlist by name, with the standard deviations of its threshold (V) and of the logarithm of its current factor."""

    name: str
    threshold: float
    current_factor: float


def transistors_of(netlist: Netlist, laws: Mapping[str, Pelgrom]) -> tuple[Transistor, ...]:
    """The MOS transistors of a netlist in its order, each with what Pelgrom's law makes of its drawn size.

    Args:
        laws: name of a model (any case) -> its coefficients.

    Raises:
        InputError: a transistor whose model has no coefficients, or which has no width or length of its own.
    """
    known = {name.lower(): law for name, law in laws.items()}
    found = []
    for part in netlist.of(Mosfet):
        law, size = known.get(part.model.name.lower()), part.values
        if law is None:
            raise InputError(
                f"{part.name}: its model {part.model.name} has no Pelgrom coefficients; there are some of: {', '.join(laws) or 'none'}"
            )
        if "w" not in size or "l" not in size:
            raise InputError(f"{part.name}: its width and length are needed for its mismatch; give w= and l=")
        try:
            sizes = law.deviations(size["w"], size["l"], size.get("m", 1.0))
        except InputError as error:
            raise InputError(f"{part.name}: {error}; give a larger transistor") from None
        found.append(Transistor(part.name, *sizes))
    return tuple(found)


def draw_mismatch(
    transistors: Sequence[Transistor], seed: int | None, amplifier: int = 0, kind: str = "offset"
) -> np.ndarray:
    """Deviations of threshold (V) and of the logarithm of the current factor of an amplifier's transistors, (K, 2).

    They are those that `Die(technology, seed)` has for an amplifier of that number, whose `opamp.transistors` are in the same order.

    Args:
        transistors: of one amplifier. seed: of the die; None: the nominal one.
        amplifier: its number from 0: of the cells, of the columns for inverters.
        kind: "offset": it holds a cell; "inverter_offset"; "position_offset": the second one of an oscillator's cell.
    """
    if seed is not None and (not isinstance(seed, int | np.integer) or seed < 0):
        raise InputError(f"die seed must be a non-negative integer or None, got {seed!r}")
    if seed is None:
        return np.zeros((len(transistors), 2))
    sizes = np.array([(one.threshold, one.current_factor) for one in transistors]).reshape(-1, 2)
    return sizes * transistor_deviates(int(seed), kind, np.array([amplifier]), len(transistors))[0]


def with_mismatch(netlist: Netlist, deviations: np.ndarray) -> Netlist:
    """The netlist with its MOS transistors' own deviations on top of what its text gives them.

    Args:
        deviations: of threshold (V) and of the logarithm of the current factor, (K, 2), in the netlist's order.

    Raises:
        InputError: not as many as there are transistors, or one that is not finite.
    """
    names = [part.name for part in netlist.of(Mosfet)]
    given = np.asarray(deviations, dtype=float)
    if given.shape != (len(names), 2) or not np.isfinite(given).all():
        raise InputError(
            f"deviations have shape {given.shape}; finite ones of shape ({len(names)}, 2) are needed, a row for each of {', '.join(names)}"
        )
    rows = dict(zip(names, given.tolist(), strict=True))
    other = Netlist(netlist.title, netlist.temperature, netlist.comments)
    for part in netlist:
        if isinstance(part, Mosfet):
            part = shifted(part, *rows[part.name])
        other.add(part, group=netlist.group_of(part.name))
    return other


def shifted(part: Mosfet, threshold: float, current_factor: float) -> Mosfet:
    """A transistor with a threshold larger by that many V in magnitude, and exp(current_factor) times the mobility."""
    if not (threshold or current_factor):
        return part
    sign = -1.0 if part.model.kind == "PMOS" else 1.0
    values = part.values
    values["delvto"] = values.get("delvto", 0.0) + sign * threshold
    values["mulu0"] = values.get("mulu0", 1.0) * math.exp(current_factor)
    return dataclasses.replace(part, parameters=values)
