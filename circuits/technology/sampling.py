"""The analog side of converters: a DAC that drives a node, and a sample-and-hold in front of an ADC.

    DAC    its codes as a piecewise linear waveform - output resistance R - node, with C to ground:  tau = R C
    ADC    node - switch (on-resistance R) - hold capacitor C;  while tracking dv_h/dt = (v - v_h) / (R C), and after it opens
           v_h leaks away through `leakage` (S) towards the input:  dv_h/dt = leakage (v - v_h) / C

The held value has the variance k T / C whatever the switch's resistance: Johnson noise of R over its own bandwidth 1 / (4 R C), frozen at
the moment of opening. It comes on top of what the node itself carries. A settling error exp(-t / (R C)) remains after tracking for t.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ..errors import InputError
from ..netlist.elements import Capacitor, Resistor, VoltageSource
from ..netlist.netlist import Netlist
from ..netlist.semiconductors import DeviceModel, Switch
from ..netlist.waveforms import Waveform
from .converters import Converter

OPEN = 1e15
"""Resistance of an open switch without leakage, ohm: with 1 pF it droops by 1e-3 in a second."""
CONTROL = 1.0
"""Control voltage that closes a switch, V; 0 opens it."""


def add_dac(
    netlist: Netlist,
    node: str,
    converter: Converter,
    volts: Sequence[float],
    interval: float,
    name: str,
    rise: float | None = None,
    group: str = "",
) -> None:
    """Drive `node` by one value after the other.

    Args:
        netlist: what to add to. node: the DAC's output.
        converter: its `resistance` (0: an ideal source) and `capacitance` (0: none); codes and clipping are those of
            `devicemodel.host.converters`.
        volts: the values, V, each held for `interval` s; the last one stays.
        interval: s.
        name: suffix of the parts' names. rise: of each edge, s; None: a hundredth of the interval.
        group: the cell that the parts belong to.

    Raises:
        InputError: no values, an interval or edge that is not > 0, an edge as long as the interval.
    """
    edge = interval / 100 if rise is None else rise
    if not len(volts) or not 0 < edge < interval:
        raise InputError(
            f"DAC {name}: {len(volts)} values, interval {interval!r} s, edge {edge!r} s; give one value or more and 0 < edge < interval"
        )
    wave: list[tuple[float, float]] = [(0.0, float(volts[0]))]
    for k, (before, after) in enumerate(itertools.pairwise(volts), start=1):
        wave += [(k * interval, float(before)), (k * interval + edge, float(after))]
    source = f"dac{name}" if converter.resistance else node
    netlist.add(
        VoltageSource(f"VDAC{name}", source, "0", wave[0][1], waveform=tuple(wave) if len(wave) > 1 else ()),
        group=group,
    )
    if converter.resistance:
        netlist.add(Resistor(f"RDAC{name}", source, node, converter.resistance), group=group)
    if converter.capacitance:
        netlist.add(Capacitor(f"CDAC{name}", node, "0", converter.capacitance), group=group)


def add_sample_and_hold(
    netlist: Netlist,
    node: str,
    converter: Converter,
    tracking: Sequence[tuple[float, float]],
    name: str,
    group: str = "",
) -> str:
    """A switch from `node` to a hold capacitor, closed during each interval of `tracking`.

    Args:
        netlist: what to add to. node: what is sampled.
        converter: `resistance` and `capacitance` (both > 0) of switch and hold capacitor, `leakage` of the open switch.
        tracking: (from, to) in s, in order and apart; edges take a hundredth of the shortest time between them.
        name: suffix of the parts' names. group: the cell that the parts belong to.

    Returns:
        The node that holds, ``hold<name>``.

    Raises:
        InputError: no resistance or capacitance; intervals that overlap or are empty.
    """
    if not (converter.resistance > 0 and converter.capacitance > 0):
        raise InputError(
            f"sample-and-hold {name}: resistance = {converter.resistance!r} ohm, capacitance = {converter.capacitance!r} F; "
            "both must be > 0"
        )
    held = f"hold{name}"
    model = DeviceModel(
        f"sample{name}",
        "SW",
        {
            "ron": converter.resistance,
            "roff": 1 / converter.leakage if converter.leakage else OPEN,
            "vt": CONTROL / 2,
            "vh": CONTROL / 10,
        },
    )
    netlist.add(
        VoltageSource(f"VTRACK{name}", f"track{name}", "0", 0.0, waveform=_control(name, tracking)),
        Switch(f"S{name}", node, held, f"track{name}", "0", model),
        Capacitor(f"CHOLD{name}", held, "0", converter.capacitance),
        group=group,
    )
    return held


def settling_error(converter: Converter, tracking: float, source_resistance: float = 0.0) -> float:
    """Share of a step that is not yet acquired after tracking for some seconds, exp(-t / ((R + R_source) C)).

    Args:
        converter: whose switch and hold capacitor. tracking: s, >= 0. source_resistance: of what is sampled, ohm, >= 0.

    Raises:
        InputError: a negative time or resistance.
    """
    tau = (converter.resistance + source_resistance) * converter.capacitance
    if not (tracking >= 0 and tau >= 0):
        raise InputError(f"tracking = {tracking!r} s, source_resistance = {source_resistance!r} ohm; both must be >= 0")
    return math.exp(-tracking / tau) if tau > 0 else float(tracking == 0)


def _control(name: str, tracking: Sequence[tuple[float, float]]) -> Waveform:
    """0 V while holding, `CONTROL` while tracking."""
    times = [0.0, *(float(time) for interval in tracking for time in interval)]
    gaps = [late - early for early, late in itertools.pairwise(times)]
    if len(times) < 3 or min(gaps) <= 0:
        raise InputError(
            f"sample-and-hold {name}: tracking = {list(tracking)[:4]!r}: intervals (from, to) with 0 < from < to, in order, are needed"
        )
    edge = min(gaps) / 100
    wave: list[tuple[float, float]] = [(0.0, 0.0)]
    for start, stop in tracking:
        wave += [(start, 0.0), (start + edge, CONTROL), (stop, CONTROL), (stop + edge, 0.0)]
    return tuple(wave)
