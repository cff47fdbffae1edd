"""What coupled oscillators would do in place of the array that was chosen: time against parts, noise and stability, in words.

An array of first order holds the least noise and the fewest parts, and it is what devices' figures are stated for, so that `auto` takes
it; how much sooner oscillators would settle, and at what price, stands in the reason. With gamma the friction, L the mean row load and
lambda the eigenvalues, conductances in units of a link and times in those of that, their noise power is

    sum (L + lambda + gamma^2) / lambda  over  gamma sum L / lambda

times the array's (equal loads; Johnson noise).
"""

from __future__ import annotations

import math

import numpy as np

from ...circuits.technology.technology import Technology
from ..fabrics.base import Fabric
from ..fabrics.oscillators.dynamics import OscillatorDynamics
from ..fabrics.oscillators.modes import decays, slow_modes, slowest_time
from ..fabrics.registry import fabric_named
from ..fabrics.requirements import unmet
from ..fabrics.second_order import CRITICAL
from ..matrices import Matrix, dense, scaled

OSCILLATOR = "oscillator"
LARGEST = 256
"""Unknowns up to which a second fabric is placed and its modes are looked at: half a second's work."""


def oscillators_instead(chosen: Fabric, matrix: Matrix, scaling: np.ndarray, technology: Technology) -> str:
    """The comparison, as a part of a reason; "" where there is nothing to compare.

    Args:
        chosen: an array with amplifiers. matrix: A, (n, n). scaling: d, (n,).
    """
    other = fabric_named(OSCILLATOR)
    if matrix.shape[0] > LARGEST or chosen.outputs < other.outputs or unmet(other, technology):
        return ""
    target = dense(matrix)
    values = np.linalg.eigvalsh(target)
    if values[0] <= 0:
        return ""
    placed = scaled(target, scaling, scaling)
    array, unit = chosen.place_bounded(placed, scaling, technology, float(values[0]))
    parts, _ = other.place_bounded(placed, scaling, technology, float(values[0]))
    law = OscillatorDynamics.of(parts, technology)
    if not decays(law):
        return f"{OSCILLATOR} would be unstable with these amplifiers"
    slow = slowest_time(law)
    share_of_time = CRITICAL * slow / (math.log(1e3) * chosen.settling(array, float(values[0]), unit, technology))
    roots = slow_modes(law)
    margin = -float(roots[np.argmax(roots.imag)].real) * slow
    counts = [{kind: len(found) for kind, found in each.inventory()} for each in (array, parts)]
    more = [f"{counts[1][kind] / counts[0][kind]:.2g} times the {kind}s" for kind in ("resistor", "amplifier")]
    share = unit / array.drive_nominal
    load = float(chosen.behaviour(array).load.mean()) / array.drive_nominal
    friction = 2 * math.sqrt(float(values[0]) * share)
    noise = float(((load + share * values + friction**2) / values).sum() / (friction * load * (1 / values).sum()))
    return (
        f"{OSCILLATOR} would be within 1e-3 after {share_of_time:.2g} of the time, with {', '.join(more)} and {noise:.2g} times the "
        f"noise power; its fastest mode decays {margin:.2g} times as fast as the slowest"
    )
