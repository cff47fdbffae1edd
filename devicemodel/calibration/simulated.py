"""`calibrate`: run ngspice on a technology, fit the surrogate's parameters, and say how well it predicts what it has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ...circuits.amplifiers.models import AmplifierCell, Macromodel, cell_title
from ...circuits.errors import InputError
from ...circuits.parallel import parallel_map
from ...circuits.technology.converters import Converter
from ...circuits.technology.die import Die
from ...circuits.technology.presets import as_technology
from ...circuits.technology.technology import Technology
from ...circuits.version import __version__
from ...compiler.fabrics.base import Fabric
from ...compiler.fabrics.registry import fabric_named, fabric_names
from ...compiler.fabrics.requirements import array_for, require_buildable
from ..card import DeviceCard
from ..device import Outcome
from ..devices.spice import SpiceDevice
from ..estimate import Estimate
from ..held_out import HeldOut
from ..host.auto_range import TARGET
from ..host.converters import attenuation_of
from ..host.probe import Probe
from ..validity import Validity
from .cases import Case, make_cases, rest_time
from .evidence import Calibration, compare, summarised
from .fit_runs import fit_runs, in_range, observed
from .fitting import Conversion, fit_converter
from .noise_runs import noise_power
from .port_runs import port_run
from .saturated import Ran, Simulated, left_out, unsaturated

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

NOISY_UNKNOWNS = 24
"""Largest held-out system that is simulated with thermal noise; above, thousands of noise points cost minutes each."""
INSIDE = 0.98
"""Share of a converter's range within which `fit_converter` looks at readings."""
NEAR = 0.99
"""Share of what auto-ranging aims at from which on a run used its range."""
CLAMP = 1.013
"""Where the output of a `Macromodel` at its limit ends, over the limit: to some tenths of a percent, which gain and slew rate decide."""


def calibrate(
    technology: Technology | str,
    fabric: str = "auto",
    seed: int = 0,
    systems: Sequence[tuple[Any, Any]] = (),
    sizes: Sequence[int] = (4, 8, 12, 16),
    dies: Sequence[int] = (1, 2, 3),
    new_dies: Sequence[int] = (101, 102),
    workers: int | None = None,
    progress: Progress | None = None,
    amplifier: AmplifierCell | None = None,
) -> DeviceCard:
    """Run ngspice on random systems and on the real ones given, fit a card, and test it on what was held out.

    Args:
        technology: what to calibrate, or a preset's name.
        fabric: one that `can_calibrate`, such as "crossbar" or "dual_rail"; or "auto", the array that the technology's amplifiers make:
            "crossbar", or "crossbar_single" where they have one output. An "spu", which rests with nothing to read, is run by its ports
            (`port_runs`): its held-out figures are of step responses.
        seed: of the random systems; same seed, same card.
        systems: real systems (A, b), A symmetric positive definite, a matrix or a `LinearSystem`; of every three, one is fitted and two
            are held out.
        sizes: unknowns of the random systems; two of each size are fitted and two held out.
        dies: seeds of the dies that are fitted. new_dies: those that are only tested.
        workers: simulations at a time; None: one for each core.
        progress: called with (stage, done, total).
        amplifier: what stands for each amplifier in SPICE, as in `SpiceDevice`; None: the linear one-pole amplifier. Of a `Macromodel`,
            and of a designer's `Amplifier`, the second pole goes into the card as the technology has it, since it moves no reading by
            enough to be fitted, and so does the output limit. Transistors make no noise in a transient: the noise power is then that of
            `.noise`, and held-out runs are without noise.

    Raises:
        InputError: an unusable technology, system, fabric, list of dies or number of workers.
        SimulationError: ngspice failed.
    """
    return calibrate_with_evidence(
        technology, fabric, seed, systems, sizes, dies, new_dies, workers, progress, amplifier
    ).card


def calibrate_with_evidence(
    technology: Technology | str,
    fabric: str = "auto",
    seed: int = 0,
    systems: Sequence[tuple[Any, Any]] = (),
    sizes: Sequence[int] = (4, 8, 12, 16),
    dies: Sequence[int] = (1, 2, 3),
    new_dies: Sequence[int] = (101, 102),
    workers: int | None = None,
    progress: Progress | None = None,
    amplifier: AmplifierCell | None = None,
) -> Calibration:
    """As `calibrate`, with the comparisons behind the card's figures."""
    technology = as_technology(technology)
    fabric = array_for(technology) if fabric == "auto" else fabric
    if fabric not in (known := fabric_names("can_calibrate")):
        raise InputError(f"fabric {fabric!r} cannot be calibrated; use {' or '.join(map(repr, ('auto', *known)))}")
    kind = fabric_named(fabric)
    require_buildable(kind, technology)
    if not dies or not new_dies or set(dies) & set(new_dies):
        raise InputError(
            f"dies {list(dies)} and new_dies {list(new_dies)} must both be non-empty, without common seeds"
        )
    if not sizes or min(sizes) < 1:
        raise InputError(f"sizes {list(sizes)} must be at least one number of unknowns, each >= 1")
    if seed < 0:
        raise InputError(f"seed is {seed}: give an integer >= 0")
    report = progress or (lambda stage, done, total: None)

    def run_all(work: Callable[[Any], Any], jobs: Sequence[Any], stage: str) -> list[Any]:
        return _run_all(work, jobs, workers, stage, report)

    fitted, held = make_cases(fabric, technology, seed, systems, sizes, dies, new_dies)
    # Which make no noise in a transient.
    transistors = not (amplifier is None or isinstance(amplifier, Macromodel))

    def simulate(case: Case, noise: bool) -> Simulated | None:
        """None: it saturated at every level, so that it says nothing of the law."""
        if not kind.mean:
            ported = port_run(case, fabric, technology)
            return ported.probe.settled, ported
        noisy = noise and len(case.b) <= NOISY_UNKNOWNS and not transistors
        device = SpiceDevice(technology, case.die, fabric, johnson_noise=noisy, amplifier=amplifier)
        solution = device.solve(case.system, torch.from_numpy(case.b), case.duration)
        if solution.outcome.clipped:
            return None
        if solution.outcome is not Outcome.OK:
            raise InputError(
                f"calibration system of {len(case.b)} unknowns on die {case.die}: {solution.outcome.value}; "
                f"technology {technology.name} cannot hold it. Use systems of smaller condition, or better parts"
            )
        return solution.x.numpy(), device

    found = run_all(lambda case: simulate(case, noise=False), fitted, "fitting runs")
    asked, (fitted, runs) = len(fitted) + len(held), unsaturated(fitted, found, technology)
    observations = observed(fitted, [device for _, device in runs], seed)
    probes = [(device.die, device.probe) for _, device in runs if device.probe is not None]
    blank = _blank(technology, fabric, fitted, amplifier)
    report("fit", 0, 1)
    estimates, unidentifiable = fit_runs(blank, observations, linear=amplifier is None)
    dac = _converter(technology.dac, "dac", probes) if kind.mean else None
    adc = _converter(technology.adc, "adc", probes)
    unidentifiable += tuple(
        f"{name}: not identified by these runs" for name, found in (("dac", dac), ("adc", adc)) if found is None
    )
    # Where no DAC takes part, it is the data sheet's.
    unseen = _perfect(technology.dac) if kind.mean else technology.dac
    fitted_converters = {"dac": dac or unseen, "adc": adc or _perfect(technology.adc)}
    card = blank.model_copy(
        update={
            "technology": technology.model_copy(update=fitted_converters),
            "unidentifiable": unidentifiable,
            **{name: in_range(name, estimate) for name, estimate in estimates.items()},
        }
    )
    report("fit", 1, 1)
    if technology.thermal.johnson_noise:
        card = card.model_copy(update={"noise_power": noise_power(card, seed, dies, amplifier, run_all)})
    else:
        card = card.replace(noise_power=0.0)
    found = run_all(lambda case: simulate(case, noise=True), held, "held-out runs")
    held, tested = unsaturated(held, found, technology)
    devices = [device for _, device in (*runs, *tested)]
    card = card.model_copy(update={"validity": _validity(technology, kind, [*fitted, *held], devices)})
    comparisons = tuple(compare(case, run, card, case.die in new_dies) for case, run in zip(held, tested, strict=True))
    card = card.model_copy(
        update={
            "held_out": summarised(comparisons),
            "provenance": {
                "simulator": f"ngspice {devices[0].simulator}",
                "thermograd": __version__,
                "amplifier": _called(amplifier),
                "seed": seed,
                "dies": [int(die) for die in dies],
                "new_dies": [int(die) for die in new_dies],
                "fitted_runs": len(fitted),
                "held_out_runs": len(held),
                **left_out(asked - len(fitted) - len(held), asked),
                "real_systems": len(systems),
            },
        }
    )
    return Calibration(card, comparisons, tuple(tested))


def _validity(technology: Technology, fabric: Fabric, cases: Sequence[Case], devices: Sequence[Ran]) -> Validity:
    """The range of what was simulated, fitted or held out.

    A run of `rest_time` slow times has come to rest, and any longer one ends in the same state. Dies of one technology differ in
    temperature by its ambient_rms: the range is that of the mean die with each program's amplifiers, four of them wider.
    """
    sizes = [len(case.b) for case in cases]
    spectra = [np.linalg.eigvalsh(case.matrix) for case in cases]
    conditions = [float(values[-1] / values[0]) for values in spectra]
    rest = rest_time(fabric) * (1 - 1e-9)
    longest = max(math.inf if fabric.mean and case.duration >= rest * case.slow else case.duration for case in cases)
    peak = max(float(np.abs(device.probe.settled).max()) for device in devices if device.probe is not None)
    used = max(device.probe.used for device in devices if device.probe is not None)
    limit = min(technology.opamp.output_limit, technology.adc.full_scale)
    mean, spread = Die(technology, None), 4 * technology.thermal.ambient_rms
    programs = [device.program for device in devices if device.program is not None]
    kelvin = np.stack([program.parts.supplied(mean).temperatures for program in programs])
    return Validity(
        unknowns=(min(sizes), max(sizes)),
        condition_number=(min(conditions), max(conditions)),
        duration=longest,
        level=limit if used >= NEAR * TARGET else peak,
        temperature=(max(0.0, float(kelvin.min()) - spread), float(kelvin.max()) + spread),
        layout=False,
    )


def _blank(technology: Technology, fabric: str, fitted: Sequence[Case], amplifier: AmplifierCell | None) -> DeviceCard:
    """The starting point of the fit: perfect parts. What the technology says of them is not looked at, but for a second pole."""
    zero = Estimate(value=0.0, std=0.0)
    opamp = amplifier.opamp if isinstance(amplifier, Macromodel) else technology.opamp
    pole = 0.0 if amplifier is None else 1.0 / (2 * math.pi * opamp.second_pole)
    sizes = [len(case.b) for case in fitted]
    conditions = [float(np.linalg.cond(case.matrix)) for case in fitted]
    return DeviceCard(
        technology=technology,
        fabric=fabric,
        gain=Estimate(value=1.0, std=0.0),
        leak=zero,
        lag=zero,
        pole=Estimate(value=pole, std=0.0),
        clamp=math.inf if amplifier is None else CLAMP,
        mismatch=zero,
        capacitor_mismatch=zero,
        offset=zero,
        noise_power=zero,
        held_out=HeldOut(
            systems=0, explained_variance=0.0, explained_variance_new_dies=0.0, spice_error=0.0, residual=0.0
        ),
        validity=Validity(unknowns=(min(sizes), max(sizes)), condition_number=(min(conditions), max(conditions))),
        provenance={},
    )


def _called(amplifier: AmplifierCell | None) -> str:
    """What stood for each amplifier, for a card's provenance."""
    if amplifier is None or isinstance(amplifier, Macromodel):
        return "one pole" if amplifier is None else "Macromodel"
    return cell_title(amplifier) or type(amplifier).__name__


def _perfect(nominal: Converter) -> Converter:
    """A converter of that resolution and range without errors."""
    return nominal.model_copy(
        update=dict.fromkeys(("gain_error", "gain_mismatch", "offset", "inl", "dnl", "noise"), 0.0)
    )


def _converter(nominal: Converter, kind: str, probes: Sequence[tuple[Any, Probe]]) -> Converter | None:
    """Fitted to what went in and came out; None where every reading was at the edge of its range, where it is not fitted."""
    pairs = {"dac": ("requested", "driven"), "adc": ("settled", "read")}[kind]
    readings = [
        Conversion(
            die,
            getattr(probe, pairs[0])[None],
            getattr(probe, pairs[1])[None],
            np.array([probe.adc_gain if kind == "adc" else 2.0 ** attenuation_of(probe.requested, nominal)]),
        )
        for die, probe in probes
    ]
    inside = (np.abs(item.inputs) * item.gain[:, None] < INSIDE * nominal.full_scale for item in readings)
    if not any(bool(part.any()) for part in inside):
        return None
    found = fit_converter(nominal, kind, readings)
    # What its errors leave of a DAC's scatter is no noise, which devices would not have.
    return found.model_copy(update={"noise": 0.0}) if kind == "dac" else found


def _run_all(
    work: Callable[[Any], Any], jobs: Sequence[Any], workers: int | None, stage: str, report: Progress
) -> list[Any]:
    """Results in the order of the jobs; threads, since each waits for a simulator process of its own."""
    report(stage, 0, len(jobs))
    return list(
        parallel_map(work, jobs, workers, threads=True, progress=lambda done, total: report(stage, done, total))
    )
