"""Which knobs what is built heeds: a figure that nothing has, or that needs another one first, is no question of a study.

What devices of a card have is the table of `compiler.effects`, which a test holds against the devices themselves.
"""

from __future__ import annotations

from collections.abc import Callable

from ....circuits.errors import InputError
from ....circuits.technology.technology import UNMODELLED as UNMODELLED_OF_CONVERTERS
from ....circuits.technology.technology import Technology
from ....compiler.effects import EFFECTS, NO_ERROR, Effect
from ....compiler.fabrics.registry import fabric_named

MODEL = "SurrogateDevice"
"""What a design point makes of a card."""


def _drifts(technology: Technology) -> bool:
    return bool(technology.resistors.conductance_drift or technology.resistors.conductance_drift_spread)


def _is_heated(technology: Technology) -> bool:
    thermal = technology.thermal
    return bool(thermal.to_hot or thermal.power or thermal.dynamic or technology.opamp.power)


_NEEDS: dict[str, tuple[Callable[[Technology], object], str]] = {
    "resistors.conductance_drift_time": (_drifts, "conductances do not drift: set resistors.conductance_drift"),
    "opamp.noise_voltage_corner": (lambda t: t.opamp.noise_voltage, "there is no white noise: set opamp.noise_voltage"),
    "opamp.noise_current_corner": (lambda t: t.opamp.noise_current, "there is no white noise: set opamp.noise_current"),
    "thermal.hot_temperature": (lambda t: t.thermal.to_hot, "nothing leads to the hot neighbour: set thermal.to_hot"),
    "thermal.heat_capacity": (lambda t: t.thermal.dynamic, "temperatures do not move: set thermal.dynamic to true"),
    "thermal.amplifiers_apart": (lambda t: t.opamp.power, "amplifiers make no heat: set opamp.power"),
    "thermal.cells": (_is_heated, "the die has one temperature: set thermal.to_hot"),
    "thermal.to_neighbour": (_is_heated, "the die has one temperature: set thermal.to_hot"),
    "thermal.to_ambient": (_is_heated, "the die has the ambient temperature: set thermal.to_hot"),
    "dac.attenuation_error": (lambda t: t.dac.attenuations > 1, "there is no attenuator: set dac.attenuations"),
    "resistors.on_off": (lambda t: t.resistors.bits, "conductances are not programmable: set resistors.bits"),
}
"""Figures that act through another one: whether a technology has that, and what to do where it has not."""


def not_of_a_card(name: str, fabric: str) -> str:
    """Why no device of a card of this fabric heeds a figure of the technology, and the remedy; "" if one does, or if it is no error."""
    part, _, figure = name.partition(".")
    for kind, names, why, remedy in UNMODELLED_OF_CONVERTERS:
        if part == kind and figure in names:
            return f"{why}: leave {name} out{remedy}"
    effect, kind_of = _effect(name), fabric_named(fabric)
    if effect is None:
        return ""
    if effect.needs == "amplifiers" and not kind_of.active:
        return f"fabric {fabric} has no amplifiers: leave it out, or take a card of another fabric"
    if part == "inductors" and not kind_of.has_inductors:
        return f"fabric {fabric} has no inductors: leave it out, or take a card of fabric lc or spu"
    if not effect.is_modelled(MODEL) and not effect.is_modelled(MODEL, "layout"):
        macromodel = effect.is_modelled("SpiceDevice", "macromodel")
        option = "amplifier=Macromodel(...)" if macromodel else "layout=True"
        return f"devices of a card do not have it ({effect.name}): leave it out, or use SpiceDevice with {option}"
    return ""


def is_price(name: str) -> bool:
    """Whether a figure of the technology decides on area, time or energy alone, and changes no reading."""
    part, _, figure = name.partition(".")
    return part == "area" or f"{part}__{figure}" in NO_ERROR


def changes_no_reading(name: str, technology: Technology, layout: bool) -> str:
    """Why a device of this technology, in the range of `not_of_a_card`, reads the same whatever the figure is, and the remedy; or ""."""
    part = name.partition(".")[0]
    if is_price(name):
        what = "area" if part == "area" else "fabric" if name == "opamp.outputs" else "time and energy"
        tool = "compile" if what == "fabric" else "cost"
        return f"it decides on {what}, and changes no reading: see `thermograd {tool}`"
    effect = _effect(name)
    if effect is not None and not effect.is_modelled(MODEL) and not layout:
        return "it is one of wires and switches, which the schematic has not: set device.layout to true"
    holds, remedy = _NEEDS.get(name, (bool, ""))
    return "" if holds(technology) else remedy


def require_heeded(name: str, value: object, reason: str) -> None:
    """InputError for a knob with a reason why it is not heeded."""
    if reason:
        raise InputError(f"{name} = {value} would not be heeded: {reason}")


def _effect(name: str) -> Effect | None:
    return next((one for one in EFFECTS if name.replace(".", "__") in one.figures), None)
