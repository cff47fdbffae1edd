"""The table of physical effects, and of the models that have them; `limitations` makes lists and a page of it.

A model is a set of capabilities: the emitted netlist alone, the circuit with its converters as a `SpiceDevice` has it, the law of a
`SurrogateDevice`, and so on. An effect is modelled by each model that has one of the capabilities named with it. A test turns each figure
of a technology and looks whether the devices heed it as the table says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..circuits.errors import InputError

Capability = Literal[
    "netlist", "transient", "die", "macromodel", "layout", "extracted netlist", "host", "age", "law", "batch", "cascade"
]
"""netlist: the parts in ngspice, with linear amplifiers. die: their deviations and temperatures. macromodel: amplifiers of
`amplifier=Macromodel(...)`. layout: wires, switches and parasitic capacitances, in a law or in an extracted netlist. host: converters
and the ranging of signals. age: parts that change from run to run. law, batch, cascade: the law of `SurrogateDevice`, of `DieBatch`, of
`CascadeDevice`. transient: what `SpiceDevice` adds to the netlist, samplers and noise currents."""
Needs = Literal["amplifiers", "inductors"]

MODELS: dict[str, frozenset[Capability]] = {
    "netlist": frozenset({"netlist", "die"}),
    "SpiceDevice": frozenset({"netlist", "transient", "die", "host", "age"}),
    "SurrogateDevice": frozenset({"law", "die", "host", "age"}),
    "DieBatch": frozenset({"batch", "die", "host"}),
    "CascadeDevice": frozenset({"cascade", "host"}),
    "IdealDevice": frozenset(),
}
"""Models without options."""
_MACROMODEL: frozenset[Capability] = frozenset({"macromodel"})
_EXTRACTED: frozenset[Capability] = frozenset({"layout", "extracted netlist"})
OPTIONS: dict[str, dict[str, frozenset[Capability]]] = {
    "macromodel": {"netlist": _MACROMODEL, "SpiceDevice": _MACROMODEL},
    "layout": {"netlist": _EXTRACTED, "SpiceDevice": _EXTRACTED, "SurrogateDevice": frozenset({"layout"})},
}
"""What is asked for, the models that take it, and the capabilities that it adds."""
EVERY: frozenset[Capability] = frozenset({"netlist", "law", "batch", "cascade"})


@dataclass(frozen=True)
class Effect:
    """One physical effect.

    Attributes:
        name: a few words. consequence: what it does to a reading.
        figures: fields of a technology that state it, as `opamp__slew`; empty: nothing states it, and no model has it, unless the figure
            is another effect's.
        modelled_by: capabilities that have it.
        needs: parts that show it; None: every fabric does.
    """

    name: str
    consequence: str
    figures: tuple[str, ...] = ()
    modelled_by: frozenset[Capability] = frozenset()
    needs: Needs | None = None

    def is_modelled(self, model: str, *options: str) -> bool:
        """Whether a model (`MODELS`) with these options (`OPTIONS`) has it.

        Raises:
            InputError: an unknown model, or an option that it does not take.
        """
        return bool(self.modelled_by & _capabilities(model, options))


def _capabilities(model: str, options: Iterable[str]) -> frozenset[Capability]:
    if model not in MODELS:
        raise InputError(f"model {model!r} is unknown; there are: {', '.join(MODELS)}")
    for option in options:
        if model not in OPTIONS.get(option, {}):
            taken = ", ".join(name for name, models in OPTIONS.items() if model in models) or "none"
            raise InputError(f"{model} has no option {option!r}; it takes: {taken}")
    return MODELS[model].union(*(OPTIONS[option][model] for option in options))


def _of(part: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{part}__{name}" for name in names)


def _by(*capabilities: Capability) -> frozenset[Capability]:
    return frozenset(capabilities)


_AREA = ("pelgrom_coefficient", "area")

EFFECTS: tuple[Effect, ...] = (
    Effect(
        "part values",
        "the matrix itself",
        (*_of("resistors", "unit"), *_of("capacitors", "unit"), *_of("inductors", "unit")),
        EVERY,
    ),
    Effect(
        "codes and preferred values",
        "the matrix is rounded",
        _of("resistors", "bits", "on_off", "series"),
        EVERY,
    ),
    Effect(
        "second slices of resistors",
        "codes are finer",
        _of("resistors", "slices"),
        _by("netlist", "law", "batch"),
    ),
    Effect(
        "input resistors in ranges",
        "small drives keep the DAC's resolution",
        _of("resistors", "drive_ranges"),
        _by("host"),
    ),
    Effect(
        "attenuator between DACs and input resistors",
        "small drives keep the DAC's resolution; its ratios err",
        _of("dac", "attenuations", "attenuation_error"),
        _by("host"),
    ),
    Effect(
        "mismatch of resistors and capacitors",
        "each die holds another matrix",
        (*_of("resistors", "tolerance", *_AREA), *_of("capacitors", "tolerance", *_AREA)),
        _by("die", "cascade"),
    ),
    Effect(
        "mismatch, variation and gradients of inductors",
        "each die holds another matrix",
        _of("inductors", "tolerance", *_AREA, "die_to_die", "gradient"),
        _by("die"),
        "inductors",
    ),
    Effect(
        "variation from die to die",
        "a die's resistors, or capacitors, deviate together",
        (*_of("resistors", "die_to_die"), *_of("capacitors", "die_to_die")),
        _by("die", "cascade"),
    ),
    Effect(
        "gradients across a die",
        "neighbours deviate alike",
        (*_of("resistors", "gradient"), *_of("capacitors", "gradient")),
        _by("die"),
    ),
    Effect(
        "ambient temperature",
        "resistors move together, and noise with them",
        (*_of("resistors", "tc1", "tc2"), *_of("thermal", "reference", "ambient", "ambient_rms")),
        _by("die", "cascade"),
    ),
    Effect(
        "heat of the die and of a hot neighbour",
        "rows near a hot edge hold another matrix",
        _of("thermal", "cells", "to_ambient", "to_neighbour", "hot_temperature", "to_hot", "power"),
        _by("die"),
    ),
    Effect(
        "temperatures that move from run to run",
        "a program is wrong for what the die has become",
        _of("thermal", "dynamic", "ambient_time", "between_runs", "heat_capacity"),
        _by("age", "batch"),
    ),
    Effect(
        "heat of amplifiers",
        "input resistors, beside them, are the warmest",
        (*_of("opamp", "power"), *_of("thermal", "amplifiers_apart")),
        _by("die"),
        needs="amplifiers",
    ),
    Effect(
        "drift of programmed conductances",
        "a program loses its scale until it is written again",
        _of("resistors", "conductance_drift", "conductance_drift_spread", "conductance_drift_time"),
        _by("age"),
    ),
    Effect(
        "fixed error of programmed conductances",
        "each die holds another matrix, and small entries err most",
        _of("resistors", "range_error"),
        _by("die"),
    ),
    Effect(
        "write noise of programmed conductances",
        "each programming holds another matrix",
        _of("resistors", "write_noise", "relative_write_noise"),
        _by("age", "batch"),
    ),
    Effect(
        "read noise of programmed conductances",
        "each run has another matrix",
        _of("resistors", "read_noise"),
        _by("age", "batch"),
    ),
    Effect("Johnson noise", "readings fluctuate", _of("thermal", "johnson_noise"), EVERY),
    Effect("finite gain of amplifiers", "a weak extra damping; in oscillators friction", _of("opamp", "gain"), EVERY, "amplifiers"),
    Effect(
        "bandwidth of amplifiers",
        "slower, or growing modes; in oscillators negative friction, which R_z takes back",
        _of("opamp", "gbw"),
        _by("netlist", "law", "batch"),
        "amplifiers",
    ),
    Effect(
        "second pole of amplifiers",
        "growing modes where amplifiers are hardly fast enough",
        _of("opamp", "second_pole"),
        _by("macromodel", "law", "batch"),
        "amplifiers",
    ),
    Effect(
        "offset of amplifiers",
        "a reading at b = 0",
        _of("opamp", "offset", "offset_pelgrom_coefficient", "input_area", "transistors"),
        _by("die", "cascade"),
        "amplifiers",
    ),
    Effect(
        "output range of amplifiers",
        "signals are kept below it, or the reading is clipped",
        _of("opamp", "output_limit"),
        _by("host", "macromodel"),
        "amplifiers",
    ),
    Effect(
        "white noise of amplifiers",
        "readings fluctuate more than the resistors make them",
        _of("opamp", "noise_voltage", "noise_current"),
        _by("macromodel", "transient", "law", "batch", "cascade"),
        "amplifiers",
    ),
    Effect(
        "1/f noise of amplifiers",
        "slow fluctuations, which averages and auto-zero take out in part",
        _of("opamp", "noise_voltage_corner", "noise_current_corner"),
        _by("macromodel", "transient", "law", "batch"),
        "amplifiers",
    ),
    Effect(
        "slew rate of amplifiers",
        "large steps take longer to settle, and fast swings are distorted",
        _of("opamp", "slew"),
        _by("macromodel"),
        "amplifiers",
    ),
    Effect(
        "output current and loaded range of amplifiers",
        "signals are kept below what a load takes of voltage and current, or the reading is clipped",
        _of("opamp", "output_resistance", "output_current"),
        _by("host", "macromodel"),
        "amplifiers",
    ),
    Effect(
        "gain of loaded amplifiers",
        "an output resistance takes part of the gain, and so of the reading",
        modelled_by=_by("macromodel"),
        needs="amplifiers",
    ),
    Effect(
        "input bias current of amplifiers",
        "a reading at b = 0, beside that of offsets",
        _of("opamp", "bias_current"),
        _by("macromodel"),
        "amplifiers",
    ),
    Effect(
        "common-mode loop of amplifiers",
        "rails that move together load the outputs and lose range",
        _of("opamp", "common_mode_gain", "common_mode_gbw", "common_mode_offset"),
        _by("macromodel"),
        "amplifiers",
    ),
    Effect(
        "wires, switches and parasitic capacitances",
        "resistance in series with every crosspoint; further poles",
        (
            *_of("wires", "segment_resistance", "segment_capacitance", "crosspoint_capacitance", "input_capacitance"),
            *_of("switches", "on_resistance", "leakage"),
            *_of("dac", "resistance"),
        ),
        _by("layout"),
    ),
    Effect("capacitance at DACs", "the drive arrives later", _of("dac", "capacitance"), _by("extracted netlist")),
    Effect(
        "resolution and range of converters",
        "drives and readings are rounded; beyond the range they are clipped",
        (*_of("dac", "bits", "full_scale"), *_of("adc", "bits", "full_scale", "max_gain")),
        _by("host"),
    ),
    Effect(
        "errors of converters",
        "gain, offset and nonlinearity of what is driven and read",
        (
            *_of("dac", "gain_error", "gain_mismatch", "offset", "inl", "dnl"),
            *_of("adc", "gain_error", "gain_mismatch", "offset", "inl", "dnl", "noise"),
        ),
        _by("host"),
    ),
    Effect(
        "bandwidth of the sampler",
        "an ADC follows the cells with a lag, and sees less of their noise",
        _of("adc", "bandwidth"),
        _by("transient", "law", "batch"),
    ),
    # What no figure states, and nothing models.
    Effect("supply and ground impedance", "currents of one cell move the supply of all others"),
    Effect("power-supply rejection", "ripple of the supply appears at the outputs", needs="amplifiers"),
    Effect("common-mode rejection", "an input's common mode appears as an offset", needs="amplifiers"),
    Effect("distortion below the output limit", "gain that changes with the signal", needs="amplifiers"),
    Effect("temperature of offset, gain and bandwidth", "what was nulled cold, or restored by R_z, is wrong when warm", needs="amplifiers"),
    Effect("ageing of amplifiers and references", "offsets and scale move over months"),
    Effect("crosstalk between lines", "a line's edge is coupled into its neighbours"),
    Effect("clock jitter and aperture of the sampler", "a moving signal is read at the wrong time"),
    Effect("settling and glitches of DACs", "the drive is not there at once"),
    Effect("noise and drift of references", "all readings of a run share a relative error"),
    Effect("output noise of DACs", "the drive itself fluctuates"),
    Effect("voltage coefficients of resistors and capacitors", "the matrix depends on the solution"),
    Effect("1/f noise of resistors", "slow fluctuations in proportion to the voltage"),
    Effect("leakage and dielectric absorption of capacitors", "a held voltage droops; a discharged one returns"),
    Effect("temperature coefficient of capacitors", "tau moves with temperature"),
    Effect("charge injection of switches", "a step when a switch opens"),
    Effect("drift of parts within a run", "a run's parts are those of its start"),
    Effect("parts that fail: open, shorted, stuck", "a row or a column is lost"),
    Effect("packages, bond wires, pads and board", "inductance and capacitance at every terminal"),
    Effect("series resistance and core loss of inductors", "modes decay faster, and carry more noise", needs="inductors"),
    Effect("saturation of inductors", "the matrix depends on the solution", needs="inductors"),
    Effect("coupling and self-capacitance of inductors", "entries and modes that are not in the matrix", needs="inductors"),
)  # fmt: skip
"""Every effect that somebody has thought of; those that a figure states come first."""

NO_ERROR = frozenset(
    {
        *_of("resistors", "write_energy"),
        *_of("opamp", "outputs", "supply", "standby"),
        *_of("thermal", "source"),
        *(f"{part}__{name}" for part in ("dac", "adc") for name in ("figure_of_merit", "rate", "count", "leakage")),
        *_of("dac", "noise", "max_gain", "bandwidth"),
        *_of("adc", "resistance", "capacitance", "attenuations", "attenuation_error"),
        *_of("link", "rate", "word", "energy"),
    }
)
"""Figures that change no reading: time, energy, choices of the circuit, and what only a netlist of one's own has."""
