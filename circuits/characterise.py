"""`characterise`: the figures of a designer's amplifier, measured in ngspice as on a bench, as the record that the compiler takes.

    gain, gbw           |A| at low frequency, and A0 times the frequency at which it has fallen by sqrt 2
    second_pole         that of the two-pole law with the phase measured at |A| = 1; inf where one pole explains it
    phase_margin        180 degrees + arg A at |A| = 1: of unity feedback
    offset              v_out / A0 - v_id at rest
    rail                largest output of both signs at which the incremental gain is still half of A0
    slew                rise and fall of the output between a tenth and four tenths of a large step, the slower one
    output_resistance   from A0 with and without a further load; part of `gain` where a load is given
    noise               .noise, divided by the closed loop's gain; white and 1/f parts by least squares; the current from a second
                        run with large resistors at the inputs
    power               what the supplies give at rest

Checked against the macromodel, whose parameters it must find again (tests, 1 %).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

from .bench import Bench
from .cells.amplifier import AmplifierCell
from .cells.designed import Amplifier
from .errors import InputError, SimulationError
from .technology import OpAmp

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
START, STOP = 1e-6, 1e11
"""Range of the sweep, Hz."""
FLAT = 20.0
"""Least distance of the dominant pole from its start: |A| there is A0 to 0.1 %."""
SMALL, LARGE = 1e3, 1e6
"""Resistors of the bench where a current into the inputs shall not count, and where it shall, ohm."""
PROBE_LOAD = 1e3
"""The further load that shows the output resistance, ohm."""
LARGEST_LEVEL = 200.0
"""Source voltage up to which the end of the output's range is looked for, V."""
NEGLIGIBLE = 1e-3
"""Share of a noise density that counts as none."""


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


def characterise(
    amplifier: AmplifierCell,
    outputs: int | None = None,
    load_resistance: float = math.inf,
    load_capacitance: float = 0.0,
    temperature: float = 300.15,
    timeout: float = 120.0,
) -> OpAmp:
    """The figures of an amplifier; see the module's docstring, and `measure` for the curves behind them.

    Args:
        amplifier: `cells.Amplifier` for a designer's netlist, or a `cells.Macromodel`.
        outputs: how many it has, 1 or 2; None: as many as the netlist.
        load_resistance, load_capacitance: from each output to ground, ohm and F. Given a resistor, `gain` is that under load, and
            `output_resistance` 0.
        temperature: K. timeout: limit for each of some fifty simulations, s.

    Raises:
        InputError: a load that is not positive; inputs that are swapped (A0 < 0); a gain below 1.
        SimulationError: ngspice finds no operating point, or its gain never falls to 1.
    """
    return measure(amplifier, outputs, load_resistance, load_capacitance, temperature, timeout).opamp


def measure(
    amplifier: AmplifierCell,
    outputs: int | None = None,
    load_resistance: float = math.inf,
    load_capacitance: float = 0.0,
    temperature: float = 300.15,
    timeout: float = 120.0,
) -> Characterisation:
    """The figures and the curves; arguments and errors as `characterise`."""
    if not load_resistance > 0 or not 0 <= load_capacitance < math.inf:
        raise InputError(
            f"load of {load_resistance!r} ohm, {load_capacitance!r} F: a resistance > 0 (inf: none) and a capacitance >= 0 are needed"
        )
    if outputs is None:
        outputs = len(amplifier.outputs) if isinstance(amplifier, Amplifier) else 1
    if outputs not in (1, 2):
        raise InputError(f"outputs = {outputs!r}: 1 or 2 are possible")
    bench = Bench(amplifier, outputs, load_resistance, load_capacitance, temperature, timeout)
    frequency, response, _ = bench.gain(SMALL, START, STOP)
    a0 = math.copysign(abs(response[0]), response[0].real)
    if not a0 > 1:
        raise InputError(
            f"the amplifier's gain at {START:g} Hz is {a0:.4g}: its inputs are swapped, it is not biased (are all supplies given?), or "
            "it does not amplify"
        )
    corner, unity, phase = _crossings(frequency, response)
    rest = bench.rest(SMALL)
    offset = rest["out"] / a0 - rest["id"]
    swing = _swing(bench, a0)
    noise_at, noise, white, knee, current, current_knee = _noise(bench, a0 * corner)
    opamp = _record(
        gain=a0,
        gbw=a0 * corner,
        offset=abs(offset),
        rail=min(-swing[0], swing[1]),
        second_pole=_second_pole(corner, unity, phase),
        slew=_slew(bench, a0, a0 * corner, min(-swing[0], swing[1])),
        output_resistance=_output_resistance(bench, a0),
        bias_current=_bias_current(bench),
        noise_voltage=white,
        noise_voltage_corner=knee,
        noise_current=current,
        noise_current_corner=current_knee,
        common_mode_offset=_mean_output(rest, outputs),
        power=_power(amplifier, rest),
    )
    return Characterisation(
        opamp=opamp,
        offset=offset,
        unity_gain=unity,
        phase_margin=180.0 + math.degrees(phase),
        swing=swing,
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
        return OpAmp(**figures)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"the amplifier's {first['loc'][0]} was measured as {first['input']:.4g}: {first['msg'].lower()}; is it biased as it should "
            "be, and does its output rest at the reference?"
        ) from None


def _crossings(frequency: Array, response: ComplexArray) -> tuple[float, float, float]:
    """Frequency of the -3 dB point, frequency of unity gain, and the phase (rad) there."""
    size, place = np.log(np.abs(response)), np.log(frequency)
    below = np.flatnonzero(size <= 0.0)
    if not len(below):
        raise SimulationError(
            f"the amplifier's gain is still {np.exp(size[-1]):.3g} at {frequency[-1]:g} Hz: an ideal amplifier has nothing to measure"
        )
    first = int(below[0])
    curve = CubicSpline(place[: first + 1], size[: first + 1])
    half = size[0] - math.log(2) / 2
    corner_at = int(np.flatnonzero(size <= half)[0])
    if first < 2 or frequency[corner_at] < FLAT * frequency[0]:
        raise SimulationError(
            f"the amplifier's gain falls from {frequency[corner_at]:.2g} Hz on; it can be measured where that is above {FLAT * START:g} Hz"
        )
    corner = brentq(lambda x: float(curve(x)) - half, place[corner_at - 1], place[corner_at])
    unity = brentq(lambda x: float(curve(x)), place[first - 1], place[first])
    phase = CubicSpline(place[: first + 1], np.unwrap(np.angle(response[: first + 1])))
    return math.exp(corner), math.exp(unity), float(phase(unity))


def _second_pole(corner: float, unity: float, phase: float) -> float:
    """f_2 of -arg A = atan(f / f_1) + atan(f / f_2) at |A| = 1, Hz."""
    left = -phase - math.atan(unity / corner)
    if left <= 1e-4:
        return math.inf
    return unity / math.tan(min(left, 1.57))


def _swing(bench: Bench, a0: float) -> tuple[float, float]:
    """The outputs on either side at which the incremental gain is half of A0."""
    found = []
    for sign in (1.0, -1.0):

        def excess(level: float, sign: float = sign) -> float:
            _, response, _ = bench.gain(SMALL, START, 10 * START, 1, sign * level)
            return math.log(max(abs(response[0]), 1e-300) / a0) + math.log(2)

        low, high = 0.0, 0.25
        while excess(high) > 0:
            low, high = high, 2 * high
            if high > LARGEST_LEVEL:
                raise SimulationError(
                    f"the output has no end up to {LARGEST_LEVEL:g} V; an ideal amplifier has nothing to measure"
                )
        edge = brentq(excess, low, high, xtol=1e-4 * high, rtol=1e-4)
        found.append(bench.rest(SMALL, sign * edge)["out"])
    return min(found), max(found)


def _slew(bench: Bench, a0: float, gbw: float, rail: float) -> float:
    """The slower one of rise and fall, V/s; inf where a step twice as large is twice as fast."""
    slopes = [_slope(bench, a0, gbw, share * rail) for share in (0.4, 0.8, -0.8)]
    if slopes[1] > 1.8 * slopes[0]:
        return math.inf
    return min(slopes[1:])


def _slope(bench: Bench, a0: float, gbw: float, amplitude: float) -> float:
    """|dv/dt| between a tenth and four tenths of a step of 2 amplitude."""
    stop, whole = 20 / gbw, -2 * amplitude * a0 / (a0 + 2)
    for _ in range(12):
        time, output = bench.step(SMALL, amplitude, stop)
        done = (output - output[0]) / whole
        if done[-1] > 0.9:
            early, late = (float(time[np.flatnonzero(done >= share)[0]]) for share in (0.1, 0.4))
            shares = [float(done[np.flatnonzero(done >= share)[0]]) for share in (0.1, 0.4)]
            if late - early > 0.02 * stop:
                return (shares[1] - shares[0]) * abs(whole) / (late - early)
            stop = 20 * (late - early)
        else:
            stop *= 4
    raise SimulationError(f"the output did not follow a step of {2 * amplitude:g} V within {stop:g} s")


def _output_resistance(bench: Bench, a0: float) -> float:
    """From A_loaded / A0 = R / (R + R_out); 0 where the load is the user's own."""
    if math.isfinite(bench.load_resistance):
        return 0.0
    loaded = Bench(bench.amplifier, bench.outputs, PROBE_LOAD, bench.load_capacitance, bench.temperature, bench.timeout)
    _, response, _ = loaded.gain(SMALL, START, 10 * START, 1)
    found = PROBE_LOAD * (a0 / abs(response[0]) - 1)
    return float(found) if found > NEGLIGIBLE else 0.0


def _bias_current(bench: Bench) -> float:
    """Current out of the node at the inverting input, by Kirchhoff's law in the two resistors, A."""
    rest = bench.rest(LARGE)
    found = (rest["inp"] - rest["lo"] + rest["copyp"] - rest["lo"]) / LARGE
    return found if abs(found) > 1e-13 else 0.0


def _noise(bench: Bench, gbw: float) -> tuple[Array, Array, float, float, float, float]:
    """Frequencies and voltage noise, then white density and corner of voltage and current."""
    frequency, quiet = bench.noise(SMALL, 0.1, gbw / 20)
    _, loud = bench.noise(LARGE, 0.1, gbw / 20)
    # Each input sees its two resistors in parallel: S = e^2 + outputs i^2 (R / 2)^2.
    current = 4 * (loud**2 - quiet**2) / (bench.outputs * (LARGE**2 - SMALL**2))
    voltage = quiet**2 - bench.outputs * current * (SMALL / 2) ** 2
    if not np.all(voltage > 0):
        return frequency, quiet, 0.0, 0.0, 0.0, 0.0
    white, corner = _white_and_flicker(frequency, voltage)
    flat = white * (1 + corner / frequency)
    found = math.sqrt(white), corner
    if np.any(current * (LARGE / 2) ** 2 < NEGLIGIBLE * flat):
        return frequency, np.sqrt(voltage), *found, 0.0, 0.0
    white_current, corner = _white_and_flicker(frequency, current)
    return frequency, np.sqrt(voltage), *found, math.sqrt(white_current), corner


def _white_and_flicker(frequency: Array, density: Array) -> tuple[float, float]:
    """w and f_c of w (1 + f_c / f), each point weighted alike; near the corner, since no 1/f noise goes on for ever."""
    kept = np.ones(len(frequency), dtype=bool)
    white, corner = 0.0, 0.0
    for _ in range(3):
        f, s = frequency[kept], density[kept]
        columns = np.column_stack([1 / s, 1 / (f * s)])
        (white, slope), *_ = np.linalg.lstsq(columns, np.ones(len(f)), rcond=None)
        corner = slope / white if white > 0 and slope > 0 else 0.0
        near = (frequency > 3e-3 * corner) & (frequency < 300 * corner)
        if corner < NEGLIGIBLE * frequency[0] or near.sum() < 8:
            break
        kept = near
    if not white > 0:
        raise SimulationError("the amplifier's noise has no white part below a twentieth of its bandwidth")
    return float(white), float(corner) if corner > NEGLIGIBLE * frequency[0] else 0.0


def _mean_output(rest: dict[str, float], outputs: int) -> float:
    mean = (rest["p"] + rest["m"]) / 2 if outputs == 2 else 0.0
    return mean if abs(mean) > 1e-9 else 0.0


def _power(amplifier: AmplifierCell, rest: dict[str, float]) -> float:
    """What the supplies give, W."""
    if not isinstance(amplifier, Amplifier):
        return 0.0
    return -sum(volts * rest[f"current_{node}"] for node, volts in amplifier.rails.items())
