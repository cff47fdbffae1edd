"""Fitting a card's parameters to recorded runs: regressions whose patterns are known, so that only their sizes are sought.

A die's deviates are known (they are its seed), as a calibration engineer knows them from measuring each part. What is fitted is how
strongly each kind of imperfection acts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from ...circuits.technology.converters import Converter
from ...circuits.technology.die import Die
from ...circuits.technology.drive_resistors import drive_conductances
from ...circuits.technology.redraw import Redraw
from ...compiler.conductance_errors import fluctuating
from ...compiler.fabrics.base import Fabric
from ...compiler.fabrics.registry import fabric_named
from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..estimate import Estimate
from ..host.converters import code_of, quantise, step_of
from ..host.nonlinearity import bow, level_error, transition_error
from ..host.probe import Probe
from .clustered_errors import clustered_errors
from .identifiability import unidentifiable
from .predicted import predicted

PARAMETERS = ("gain", "leak", "lag", "mismatch", "capacitor_mismatch", "inductor_mismatch", "offset")
AMPLIFIERS, INDUCTORS = ("leak", "lag", "offset"), ("inductor_mismatch",)
"""What there is to fit in fabrics with amplifiers alone, and with inductors."""

STEP, SMALL = 1e-3, 1e-2
"""Relative step of a figure in finite differences, and its size, over the typical one, below which steps no longer shrink."""
READING = 5e-5
"""Error of a node voltage as it is read, over its run's rms: a 5 1/2 digit voltmeter's, ten times that of simulated time steps."""
HOLD = 1e-6
"""Change of a relative reading that stands against moving a parameter by its typical size."""


@dataclass(frozen=True)
class Observation:
    """One run without thermal noise.

    Attributes:
        nominal: the nominal program. die: the die it ran on. probe: what was seen of it.
        system: number of its system on its die: residuals of the same one are correlated.
        beyond: what the circuit does beyond the first-order law, (n,) V, as `circuit_law.beyond_the_law` has it; 0: it is not known.
    """

    nominal: AnalogProgram
    die: Die
    probe: Probe
    system: int
    beyond: np.ndarray | float = 0.0


def parameters_of(fabric: Fabric) -> tuple[str, ...]:
    """What there is to fit to runs of a fabric."""
    without = (() if fabric.active else AMPLIFIERS) + (() if fabric.has_inductors else INDUCTORS)
    return tuple(name for name in PARAMETERS if name not in without)


def fit_law(blank: DeviceCard, observations: Sequence[Observation]) -> tuple[dict[str, Estimate], tuple[str, ...]]:
    """Least squares of the surrogate's end voltages against SPICE's, each run relative to its own rms.

    Args:
        blank: a card with the fabric and technology; its parameters are the starting point.

    Returns:
        Estimates of the fabric's parameters with standard uncertainties by `clustered_errors`, clusters being systems on their dies; and
        what the runs cannot tell, in words: parameters whose uncertainty moves readings by more than some tenths of a percent.
    """
    fabric = fabric_named(blank.fabric)
    names = parameters_of(fabric)
    tau = float(np.median([run.nominal.tau for run in observations]))
    # Sizes at which each parameter moves a reading by some tenths of a percent: the unknowns are then of order one.
    typical = {
        "gain": 1e-2,
        "leak": 1e-3,
        "lag": 1e-3 * tau,
        "mismatch": 1e-2,
        "capacitor_mismatch": 1e-2,
        "inductor_mismatch": 1e-2,
        "offset": 1e-3,
    }
    scale = np.array([typical[name] for name in names])
    start = np.array([getattr(blank, name).value for name in names])

    # A law of all states has no slope at ideal amplifiers, nor beyond: there the search is told of figures by their size, and steps by
    # shares of `scale` at zero, too.
    sized = np.array([fabric.has_linear_law and name in ("leak", "lag") for name in names])
    origin = np.where(sized, 1.0, 0.0)

    def values_at(theta: np.ndarray) -> np.ndarray:
        found = start + scale * (theta - origin)
        return np.where(sized, np.abs(found), found)

    def residual(theta: np.ndarray) -> np.ndarray:
        # A search may pass through values that no card can have: a standard deviation near zero, from both sides.
        trial = zip(names, values_at(theta).tolist(), strict=True)
        card = blank.model_copy(update={name: Estimate(value=value, std=0.0) for name, value in trial})
        # The last rows hold a parameter that no run identifies, and are too weak to move one that a run identifies.
        return np.concatenate([*(_mismatch(run, card) for run in observations), HOLD * (theta - origin)])

    def slopes(theta: np.ndarray) -> np.ndarray:
        # A step is a share of its figure. Of one next to zero that would be lost in rounding, which would look like a slope.
        here, steps = residual(theta), STEP * np.maximum(np.abs(theta), SMALL)
        columns = [(residual(theta + step) - here) / size for step, size in zip(np.diag(steps), steps, strict=True)]
        return np.column_stack(columns)

    fit = least_squares(residual, 2 * origin, jac=slopes, method="lm", xtol=1e-8, ftol=1e-8)
    jacobian, left = fit.jac[: -len(names)], fit.fun[: -len(names)]
    systems = np.repeat([run.system for run in observations], [run.nominal.size for run in observations])
    errors, freedom = clustered_errors(jacobian, left, systems, HOLD, READING)
    estimates = {
        name: Estimate(value=value, std=std, degrees_of_freedom=degrees)
        for name, value, std, degrees in zip(
            names, values_at(fit.x).tolist(), (scale * errors).tolist(), freedom.tolist(), strict=True
        )
    }
    spread = max(float(np.sqrt(left @ left / max(1, len(left) - len(names)))), READING)
    groups = unidentifiable(jacobian / spread, names)
    return estimates, tuple(
        f"{', '.join(group.values)}: {'only together' if group.identified_as else 'not identified by these runs'}"
        for group in groups
    )


def _mismatch(run: Observation, card: DeviceCard) -> np.ndarray:
    program, currents = on_die(run, card)
    volts = predicted(program, currents, run.probe.start, run.probe.duration, card)
    return np.asarray((volts + run.beyond - run.probe.settled) / np.sqrt(np.mean(run.probe.settled**2)))


def on_die(run: Observation, card: DeviceCard) -> tuple[AnalogProgram, np.ndarray]:
    """The program of a run as a card has it on that die, and its drive currents, (n,) A.

    Errors of programming are those of a device of noise seed 0, in its first programming and run: the fit knows them as it does the parts.
    """
    nominal, resistors, chosen = run.nominal, run.nominal.technology.resistors, run.probe.drive_range
    if chosen and nominal.parts.drive_nominal:
        nominal = nominal.with_drive(float(drive_conductances(resistors)[chosen]))
    first = Redraw(0, run.die.seed, 0)
    program = card.on(nominal, run.die, first)
    if resistors.read_noise:
        program = dataclasses.replace(program, parts=fluctuating(program.parts, resistors, first))
    per_volt = nominal.parts.drive_nominal or nominal.fabric.drive_unit(nominal.technology) / 2.0**chosen
    return program, run.probe.driven * per_volt


def fit_noise(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Estimate:
    """Noise power over the law's from waveforms: trace(S_law^-1 S_seen) / n, averaged.

    Its error is that of the mean over waveforms: 1/f noise is correlated over all of one.

    Args:
        pairs: (waveform (n, T) in V about its state of rest, the law's stationary covariance (n, n)), two or more.
    """
    ratios = [
        float(np.einsum("nt,nt->", waveform, np.linalg.solve(covariance, waveform)) / waveform.size)
        for waveform, covariance in pairs
    ]
    weights = np.array([len(waveform) for waveform, _ in pairs], dtype=float)
    ratio, weight, freedom = np.array(ratios), weights / weights.sum(), len(ratios) - 1
    mean = float(weight @ ratio)
    variance = float(weight**2 @ (ratio - mean) ** 2) * len(ratio) / freedom
    return Estimate(value=mean, std=math.sqrt(variance), degrees_of_freedom=float(freedom))


@dataclass(frozen=True)
class Conversion:
    """Readings of one converter on one die: volts in, volts out, (m, n); gain of the amplifier before an ADC, or 1 / ratio of the
    attenuator behind a DAC, (m,)."""

    die: Die
    inputs: np.ndarray
    outputs: np.ndarray
    gain: np.ndarray


def fit_converter(nominal: Converter, kind: str, readings: Sequence[Conversion]) -> Converter:
    """Gain error, offset, nonlinearity and noise of a converter ("dac" or "adc") from what went in and what came out.

    out - in = (sigma_g z_g + sigma_c z_c) in + sigma_o z_o + inl (its curve) + dnl (its steps) + error, with the deviates z of die and
    channels known; the error's variance beyond step^2 / 12 is noise. Resolution and full scale are the data sheet's; a kind of
    nonlinearity, or a mismatch of gains, that it gives as zero is not looked for. What a DAC's attenuator does to its errors is known,
    and the error of its ratios, of which these runs show few, is the data sheet's.
    """
    columns, errors, rounding = [], [], []
    for item in readings:
        for volts, out, gain in zip(item.inputs, item.outputs, item.gain, strict=True):
            inside = np.abs(volts) * gain < nominal.full_scale * 0.98
            patterns = _patterns(nominal, kind, item.die, volts, out, float(gain))
            columns.append(np.stack(list(patterns.values()), axis=1)[inside])
            errors.append((out - volts)[inside])
            rounding.append(np.full(int(inside.sum()), step_of(nominal) ** 2 / 12 / gain**2))
    design, error, floor = np.concatenate(columns), np.concatenate(errors), np.concatenate(rounding)
    weight = 1.0 / np.sqrt(floor + nominal.full_scale**2 * 1e-12)
    sigma = np.linalg.lstsq(design * weight[:, None], error * weight, rcond=None)[0]
    left = error - design @ sigma
    noise = float(np.sqrt(max(0.0, np.mean(left**2 - floor))))
    # The data cannot tell a noise from the scatter of the rounding below this share of a step.
    noise = noise if noise**2 > 3 * float(np.mean(floor)) / np.sqrt(len(left)) else 0.0
    fitted = {name: float(abs(value)) for name, value in zip(patterns, sigma, strict=True)}
    return nominal.model_copy(update=fitted | {"noise": noise})


def _patterns(
    nominal: Converter, kind: str, die: Die, volts: np.ndarray, out: np.ndarray, gain: float
) -> dict[str, np.ndarray]:
    """By field: what one unit of it adds to each channel's output, (n,) V."""
    patterns = {
        "gain_error": die.deviates(f"{kind}_gain", (1, 1))[0, 0] * volts,
        "offset": die.deviates(f"{kind}_offset", (1, len(volts)))[0],
    }
    if nominal.gain_mismatch > 0:
        patterns["gain_mismatch"] = die.deviates(f"{kind}_channel_gain", (1, len(volts)))[0] * volts
    if kind == "dac":
        # Its errors are before the attenuator.
        patterns["offset"] = patterns["offset"] / gain
        volts = volts * gain
    unit, last = nominal.model_copy(update={"inl": 1.0, "dnl": 1.0}), 2 ** (nominal.bits or 0) - 1
    if nominal.inl > 0 and kind == "dac":
        patterns["inl"] = bow(quantise(volts, nominal), unit, die, "dac_inl") / gain
    elif nominal.inl > 0:
        patterns["inl"] = -bow(gain * volts, unit, die, "adc_inl") / gain
    if nominal.dnl > 0 and kind == "dac":
        patterns["dnl"] = step_of(nominal) / gain * level_error(code_of(volts, nominal), unit, die)
    elif nominal.dnl > 0:
        # A code lies between its two transitions, and its reading in the middle of where they should be.
        code = code_of(gain * out, nominal)
        ends = [transition_error(np.clip(code + k, 1, last), unit, die) for k in (0, 1)]
        patterns["dnl"] = -step_of(nominal) / gain * (ends[0] + ends[1]) / 2
    return patterns
