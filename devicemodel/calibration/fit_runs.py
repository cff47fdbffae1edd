"""From simulated runs to a card's parameters: what a voltmeter reads of them, and the fit with what circuits do beyond the law."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ...compiler.fabrics.registry import fabric_named
from ..card import DeviceCard
from ..estimate import RANGES, Estimate
from .cases import Case
from .circuit_law import beyond_the_law
from .fitting import READING, Observation, fit_law
from .saturated import Ran

REFITS = 1
"""Fits with what the circuit does beyond the law at the figures of the fit before; a second one moves them by less than their errors."""


def observed(cases: Sequence[Case], devices: Sequence[Ran], seed: int) -> list[Observation]:
    """What a voltmeter reads of noiseless runs, one a device.

    Its error, `READING`, is drawn. It is larger than that of the simulator's time steps, which has one sign in all readings, so that no
    residual would show what it does to the parameters.
    """
    rng = np.random.default_rng([seed, 4444])
    systems: dict[bytes, int] = {}
    found = []
    for case, device in zip(cases, devices, strict=True):
        assert device.probe is not None
        settled = device.probe.settled
        error = READING * float(np.sqrt(np.mean(settled**2))) * rng.standard_normal(len(settled))
        probe = dataclasses.replace(device.probe, settled=settled + error)
        number = systems.setdefault(case.matrix.tobytes(), len(systems))
        found.append(Observation(case.laid_out(device.fabric, device.technology), device.die, probe, number))
    return found


def fit_runs(
    blank: DeviceCard, observations: Sequence[Observation], linear: bool
) -> tuple[dict[str, Estimate], tuple[str, ...]]:
    """`fit_law`, and where amplifiers are linear again, with what the circuit does beyond a law of first order."""
    estimates, unidentifiable = fit_law(blank, observations)
    beyond = linear and not fabric_named(blank.fabric).has_linear_law
    for _ in range(REFITS if beyond else 0):
        card = blank.model_copy(update={name: in_range(name, estimate) for name, estimate in estimates.items()})
        observations = [dataclasses.replace(run, beyond=beyond_the_law(run, card)) for run in observations]
        estimates, unidentifiable = fit_law(card, observations)
    return estimates, unidentifiable


def in_range(name: str, estimate: Estimate) -> Estimate:
    """The estimate, moved into its range: of a parameter that is zero it comes out below as often as above."""
    least, most, _ = RANGES[name]
    return estimate.model_copy(update={"value": min(max(estimate.value, least), most)})
