"""`characterise`: the figures of a designer's amplifier, measured in ngspice as on a bench, as the record of a technology.

    gain                |A| at low frequency
    gbw, second_pole    A0 f_1, and f_2: of the law of two poles that has the measured -3 dB frequency, and the measured phase at
                        |A| = 1; f_2 is inf where one pole explains it
    phase_margin        180 degrees + arg A at |A| = 1: of unity feedback
    offset              v_out / A0 - v_id at rest
    output_limit        largest output of both signs at which the incremental gain is still half of A0
    slew                the rate with which the macromodel of all other figures takes as long from a tenth to four tenths of a large step,
                        the slower one of rise and fall; inf where it is as fast without a limit
    output_resistance   from A0 with and without a further load; part of `gain` where a load is given
    output_current      from what an overdriven output gives a short circuit, the smaller of both signs; inf where the output resistance
                        explains it
    noise               .noise, divided by what the loop makes of a voltage at the input; white and 1/f parts by least squares; the
                        current from a second run with large resistors at the inputs
    bias_current        by Kirchhoff's law at the inverting input
    power               what the supplies give at rest
    common mode         the loop that holds the mean of two outputs, and the rejection of the inputs' mean (`common_mode`)

Checked against the macromodel, whose parameters it must find again (tests, 1 %).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.optimize import brentq

from ..errors import InputError, SimulationError
from ..technology.parts import OpAmp
from .common_mode import CommonModeLoop, common_mode_loop, common_mode_rejection
from .models import AmplifierCell, require_cell
from .open_loop import crossings, two_poles
from .slew_rate import find_slew
from .testbench import Bench
from .user_netlist import Amplifier

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
START, STOP = 1e-6, 1e11
"""Range of the sweep, Hz."""
SMALL, LARGE = 1e3, 1e6
"""Resistors of the bench where a current into the inputs shall not count, and where it shall, ohm."""
SHORT, OVERDRIVE = 1.0, 3.0
"""What stands for a short circuit, ohm, and the source's voltage then, over the output limit."""
PROBE_LOAD = 1e3
"""The further load that shows the output resistance, ohm."""
MAX_LEVEL = 200.0
"""Source voltage up to which the end of the output's range is looked for, V."""
MIN_LIMITING = 0.01
"""Least share by which a limit must lower the current into a short circuit to be seen."""
NEGLIGIBLE = 1e-3
"""Share of a noise density that counts as none."""
MIN_POINTS = 8
"""Points of a spectrum that a fit needs."""


@dataclass(frozen=True, eq=False)
class Characterisation:
    """What was measured.

    Attributes:
        opamp: the record for `Technology(opamp=...)`. `offset` is the magnitude of this netlist's own, systematic one.
        offset: that offset with its sign, V.
        unity_gain: frequency at which |A| = 1, Hz. phase_margin: degrees.
        swing: (lowest, highest) output at which the gain is half of A0, V.
        load_resistance, load_capacitance: at each output, ohm and F. temperature: K.
        frequency, response: (F,) Hz, and A(f), complex.
        noise_frequency, noise_voltage: (K,) Hz, and the voltage noise, V/sqrt(Hz).
        output_resistance: small-signal, at low frequency, of each output without its load, ohm.
        rejection: common-mode rejection ratio of this netlist, without mismatch; inf: symmetrical.
        common_mode: the loop that holds the outputs' mean; None: no port for it was named.
        supply_current: what the amplifier takes at rest, A: the sum of what flows in from its supplies.
    """

    opamp: OpAmp
    offset: float
    unity_gain: float
    phase_margin: float
    swing: tuple[float, float]
    load_resistance: float
    load_capacitance: float
    temperature: float
    frequency: Array
    response: ComplexArray
    noise_frequency: Array
    noise_voltage: Array
    output_resistance: float = 0.0
    rejection: float = math.inf
    common_mode: CommonModeLoop | None = None
    supply_current: float = 0.0


def characterise(
    amplifier: AmplifierCell,
    outputs: int | None = None,
    load_resistance: float = math.inf,
    load_capacitance: float = 0.0,
    temperature: float | None = None,
    timeout: float = 120.0,
    common_mode: str | None = None,
) -> Characterisation:
    """The figures of an amplifier, and the curves behind them; see the module's docstring.

    Args:
        amplifier: an `Amplifier`, for a designer's netlist, or a `Macromodel`.
        outputs: how many it has, 1 or 2; None: as many as the netlist.
        load_resistance, load_capacitance: from each output to ground, ohm and F. Given a resistor, `gain` is that under load, and
            `output_resistance` 0.
        temperature: K; None: that of the netlist, or 300.15. timeout: limit for each of some hundred simulations, s.
        common_mode: port of an `Amplifier`, held at a voltage, that the mean of its outputs is compared with; None: the loop that holds
            the mean is not measured, and ideal in the record.

    Raises:
        InputError: something that is no amplifier; a load that is not positive; inputs that are swapped (A0 < 0); a gain below 1.
        SimulationError: ngspice finds no operating point, as it may be without a load, or its gain never falls to 1.
    """
    require_cell(amplifier)
    numbers = all(isinstance(value, int | float) for value in (load_resistance, load_capacitance))
    if not numbers or not load_resistance > 0 or not 0 <= load_capacitance < math.inf:
        raise InputError(
            f"load of {load_resistance!r} ohm, {load_capacitance!r} F: a resistance > 0 (inf: none) and a capacitance >= 0 are needed"
        )
    if outputs is None:
        outputs = len(amplifier.outputs) if isinstance(amplifier, Amplifier) else 1
    if outputs not in (1, 2):
        raise InputError(f"outputs = {outputs!r}: 1 or 2 are possible")
    if temperature is None:
        temperature = amplifier.parts.temperature if isinstance(amplifier, Amplifier) else 300.15
    bench = Bench(amplifier, outputs, load_resistance, load_capacitance, temperature, timeout)
    frequency, response = bench.gain(SMALL, START, STOP)
    a0 = math.copysign(abs(response[0]), response[0].real)
    if not a0 > 1:
        raise InputError(
            f"the amplifier's gain at {START:g} Hz is {a0:.4g}: its inputs are swapped, it is not biased (are all supplies given?), or "
            "it does not amplify"
        )
    corner, unity, phase = crossings(frequency, response)
    first, second = two_poles(corner, unity, phase)
    rest = bench.rest(SMALL)
    offset = rest["out"] / a0 - rest["id"]
    swing = _swing(bench, a0)
    limit = min(-swing[0], swing[1])
    bias = _bias_current(bench)
    # So large that a noise current shows, and so small that a bias current does not drive the output out of its range.
    large = min(LARGE, 0.1 * limit / abs(bias)) if bias else LARGE
    noise_at, noise, white, knee, current, current_knee = _noise(bench, a0 * first, large)
    ohm = _output_resistance(bench, a0)
    loop = None if common_mode is None else common_mode_loop(bench, common_mode, SMALL)
    opamp = _record(
        outputs=outputs,
        gain=a0,
        gbw=a0 * first,
        offset=abs(offset),
        output_limit=limit,
        second_pole=second,
        # The load of the user's own is part of the gain.
        output_resistance=ohm if math.isinf(load_resistance) else 0.0,
        output_current=_output_current(bench, limit, ohm if math.isinf(load_resistance) else 0.0),
        bias_current=bias,
        noise_voltage=white,
        noise_voltage_corner=knee,
        noise_current=current,
        noise_current_corner=current_knee,
        common_mode_gain=math.inf if loop is None else loop.gain,
        common_mode_gbw=math.inf if loop is None else loop.gbw,
        common_mode_offset=_mean_output(rest, outputs),
        power=_power(amplifier, rest),
    )
    opamp = opamp.model_copy(update={"slew": find_slew(bench, opamp)})
    return Characterisation(
        opamp=opamp,
        offset=offset,
        unity_gain=unity,
        phase_margin=180.0 + math.degrees(phase),
        swing=swing,
        output_resistance=ohm,
        rejection=common_mode_rejection(bench, a0, SMALL),
        common_mode=loop,
        supply_current=_supply_current(amplifier, rest),
        load_resistance=load_resistance,
        load_capacitance=load_capacitance,
        temperature=temperature,
        frequency=frequency,
        response=response,
        noise_frequency=noise_at,
        noise_voltage=noise,
    )


def _record(**figures: float) -> OpAmp:
    """The record, or in which figure it is no amplifier that an array can use."""
    try:
        return OpAmp.model_validate(figures)
    except ValidationError as error:
        first = error.errors()[0]
        remedy = (
            "give load_resistance, the load that it will have"
            if first["loc"][0] == "output_resistance"
            else "is it biased as it should be, and does its output rest at the reference?"
        )
        raise InputError(
            f"the amplifier's {first['loc'][0]} was measured as {first['input']:.4g}: {first['msg'].lower()}; {remedy}"
        ) from None


def _swing(bench: Bench, a0: float) -> tuple[float, float]:
    """The outputs on either side at which the incremental gain is half of A0."""
    found = []
    for sign in (1.0, -1.0):

        def excess(level: float, sign: float = sign) -> float:
            _, response = bench.gain(SMALL, START, 10 * START, 1, sign * level)
            return math.log(max(abs(response[0]), 1e-300) / a0) + math.log(2)

        low, high = 0.0, 0.25
        while excess(high) > 0:
            low, high = high, 2 * high
            if high > MAX_LEVEL:
                raise SimulationError(
                    f"the output has no end up to {MAX_LEVEL:g} V; an ideal amplifier has nothing to measure"
                )
        edge = brentq(excess, low, high, xtol=1e-4 * high, rtol=1e-4)
        found.append(bench.rest(SMALL, sign * edge)["out"])
    return min(found), max(found)


def _output_resistance(bench: Bench, a0: float) -> float:
    """R_out from the gain with and without a further load R: A = A_open / (1 + R_out (1 / R_load [+ 1 / R])), ohm."""
    load = 1 / bench.load_resistance + 1 / PROBE_LOAD
    loaded = dataclasses.replace(bench, load_resistance=1 / load)
    _, response = loaded.gain(SMALL, START, 10 * START, 1)
    fall = a0 / abs(response[0])
    found = (fall - 1) / (load - fall / bench.load_resistance)
    return float(found) if found > NEGLIGIBLE else 0.0


def _output_current(bench: Bench, limit: float, ohm: float) -> float:
    """I of i = I tanh((v_end / m - i R_short) / (R I)), the law of `output_stage`, from the current i into a short circuit, A.

    Without an output resistance I is i itself.
    """
    short = Bench(bench.amplifier, bench.outputs, SHORT, 0.0, bench.temperature, bench.timeout)
    found = math.inf
    for sign in (1.0, -1.0):
        level = sign * OVERDRIVE * limit
        here = abs(short.rest(SMALL, level)["p"]) / SHORT
        end = abs(bench.rest(SMALL, level)["out"]) / bench.outputs
        across = end - here * SHORT
        if here * (ohm + SHORT) > (1 - MIN_LIMITING) * end or not here > 0:
            continue
        if ohm:
            law = lambda ratio, here=here, across=across: math.tanh(across / (ohm * here) * ratio) - ratio  # noqa: E731
            # i / I; at 0 both sides are alike.
            here /= brentq(law, 1e-6, 1.0)
        found = min(found, here)
    return found


def _bias_current(bench: Bench) -> float:
    """Current out of the node at the inverting input, by Kirchhoff's law in the two resistors, A."""
    found = 0.0
    for ohm in (SMALL, LARGE):
        rest = bench.rest(ohm)
        here = (rest["inp"] - rest["lo"] + rest["copyp"] - rest["lo"]) / ohm
        # Large resistors resolve small currents, and large currents drive their output to its limit.
        if ohm == SMALL or abs(here * ohm) < 0.05:
            found = here
    return found if abs(found) > 1e-13 else 0.0


def _noise(bench: Bench, gbw: float, large: float) -> tuple[Array, Array, float, float, float, float]:
    """Frequencies and voltage noise, then white density and corner of voltage and current."""
    found = _noise_up_to(gbw / 20, bench, large)
    # Near its bandwidth an amplifier has noise of later stages too, so that one looks there only for a corner that is not below.
    return found if found[3] < 0.01 * gbw else _noise_up_to(gbw, bench, large)


def _noise_up_to(stop: float, bench: Bench, large: float) -> tuple[Array, Array, float, float, float, float]:
    frequency, with_small, low = bench.noise(SMALL, 0.1, stop)
    _, with_large, high = bench.noise(large, 0.1, stop)
    # S = e^2 + outputs i^2 |Z|^2.
    current = (with_large**2 - with_small**2) / (bench.outputs * (high**2 - low**2))
    voltage = with_small**2 - bench.outputs * current * low**2
    significant = (current > 0) & (current * bench.outputs * high**2 > NEGLIGIBLE * np.maximum(voltage, 0.0))
    # White noise is there throughout; what shows at the highest frequencies alone comes through the inputs' capacitances.
    white = bool(significant[frequency > 1e-2 * frequency[-1]].all())
    of_voltage = of_current = (0.0, 0.0)
    if np.all(voltage > 1e-6 * with_small**2):
        of_voltage = _white_and_flicker(frequency, voltage)
    if white and significant.sum() >= MIN_POINTS:
        of_current = _white_and_flicker(frequency[significant], current[significant])
    volts = np.sqrt(np.maximum(voltage, 0.0))
    return frequency, volts, math.sqrt(of_voltage[0]), of_voltage[1], math.sqrt(of_current[0]), of_current[1]


def _white_and_flicker(frequency: Array, density: Array) -> tuple[float, float]:
    """w and f_c of w (1 + f_c / f), each point weighted alike; from high frequencies towards the corner, since no 1/f noise goes on for
    ever."""
    kept = frequency > 1e-2 * frequency[-1]
    white, corner = 0.0, 0.0
    for _ in range(6):
        f, s = frequency[kept], density[kept]
        columns = np.column_stack([1 / s, 1 / (f * s)])
        (white, slope), *_ = np.linalg.lstsq(columns, np.ones(len(f)), rcond=None)
        white, slope = max(white, 0.0), max(slope, 0.0)
        corner = slope / white if white > 0 else math.inf
        lowest = max(frequency[0], min(3e-3 * corner, 1e-2 * frequency[-1]))
        near = (frequency >= lowest) & (frequency < 300 * max(corner, lowest))
        if near.sum() < MIN_POINTS or np.array_equal(near, kept):
            break
        kept = near
    if not white > 0:
        raise SimulationError(f"the amplifier's noise has no white part up to {frequency[-1]:.3g} Hz")
    return float(white), float(corner) if corner > NEGLIGIBLE * frequency[0] else 0.0


def _mean_output(rest: dict[str, float], outputs: int) -> float:
    mean = (rest["p"] + rest["m"]) / 2 if outputs == 2 else 0.0
    return mean if abs(mean) > 1e-9 else 0.0


def _power(amplifier: AmplifierCell, rest: dict[str, float]) -> float:
    """What the supplies give, W."""
    if not isinstance(amplifier, Amplifier):
        return 0.0
    return -sum(volts * rest[f"current_{node}"] for node, volts in amplifier.rails.items())


def _supply_current(amplifier: AmplifierCell, rest: dict[str, float]) -> float:
    """What flows in from the supplies, A; what flows back into others is the same current."""
    if not isinstance(amplifier, Amplifier):
        return 0.0
    return sum(max(-rest[f"current_{node}"], 0.0) for node in amplifier.rails)
