"""A voltage whose noise density is white above a corner frequency and 1/f below, made of resistors and capacitors only.

The Johnson noise of a one-port is 4 k T Re Z(f) (one-sided; Nyquist 1928), so a resistor R0 = e^2 / (4 k T) in series with parallel RC
sections of corners f_k, spaced by D in ln f,

    Re Z = R0 + sum_k R_k / (1 + (f / f_k)^2),      R_k = (2 D / pi) R0 f_c / f_k,

has the density e^2 (1 + f_c / f) over the range of the corners: a sum of Lorentzians on a geometric grid is 1/f, with a ripple of
2 / cosh(pi^2 / D), which is 8e-4 for the two sections a decade used here. Being a linear circuit, it is the same noise in ngspice's
`.noise`, in a seeded transient and in the state-space law. Sections reach from `DECADES_BELOW` under f_c, where the density levels off
(a variance over all frequencies would be infinite otherwise), to `DECADES_ABOVE` over it, where the 1/f part is a hundredth of the
white one. The amplitude is right to 0.4 % at all frequencies above 1e-3 f_c.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import constants

from ..linear.noise_paths import SlowNoise
from ..netlist.elements import Capacitor, Resistor
from ..netlist.netlist import Netlist

DECADES_BELOW, DECADES_ABOVE = 5, 2
"""Decades of frequency below and above the corner in which the density has its 1/f part."""
SECTIONS_PER_DECADE = 2


def add_noise_source(netlist: Netlist, node: str, density: float, corner: float, name: str, group: str = "") -> None:
    """Make the voltage of `node` against ground a noise of mean zero; nothing may draw a current from it.

    Args:
        netlist: what to add to; the parts are at its temperature, wherever they are copied to.
        node: a new node.
        density: e, white, one-sided, V/sqrt(Hz), > 0.
        corner: f_c at which the 1/f part equals the white one, Hz; 0: white only.
        name: suffix of the parts' names. group: the cell that they belong to.
    """
    white = density**2 / (4 * constants.k * netlist.temperature)
    corners = flicker_corners(corner)
    nodes = [node, *(f"{node}_{k + 1}" for k in range(len(corners))), "0"]
    if not len(corners):
        nodes = [node, "0"]
    kelvin = netlist.temperature
    netlist.add(Resistor(f"RN{name}", nodes[0], nodes[1], white, kelvin), group=group)
    spacing = math.log(10) / SECTIONS_PER_DECADE
    for k, f in enumerate(corners.tolist()):
        ohm = 2 * spacing / math.pi * white * corner / f
        ends = (nodes[k + 1], nodes[k + 2])
        netlist.add(
            Resistor(f"RN{name}_{k + 1}", *ends, ohm, kelvin),
            Capacitor(f"CN{name}_{k + 1}", *ends, 1.0 / (2 * math.pi * f * ohm)),
            group=group,
        )


def slow_noise(node: str, density: float, corner: float) -> SlowNoise:
    """The 1/f part of `add_noise_source` as processes, for transients that do not simulate its sections.

    Each section has the variance k T / C_k = D e^2 f_c, whatever its corner.

    Args:
        node: of a source that is white. density, corner: as for `add_noise_source`.
    """
    spacing = math.log(10) / SECTIONS_PER_DECADE
    return SlowNoise(node, tuple(flicker_corners(corner).tolist()), spacing * density**2 * corner)


def power_over_white(frequency: float, corner: float) -> float:
    """Power density of such a noise at a frequency, Hz, over that of its white part: Re Z / R0, which is 1 + f_c / f in between."""
    corners = flicker_corners(corner)
    spacing = math.log(10) / SECTIONS_PER_DECADE
    return 1.0 + float((2 * spacing / math.pi * corner / corners / (1 + (frequency / corners) ** 2)).sum())


def flicker_corners(corner: float) -> np.ndarray:
    """f_k in Hz of the sections for a corner frequency, (sections,); none for 0."""
    if corner == 0.0:
        return np.zeros(0)
    count = (DECADES_BELOW + DECADES_ABOVE) * SECTIONS_PER_DECADE + 1
    return corner * np.logspace(-DECADES_BELOW, DECADES_ABOVE, count)
