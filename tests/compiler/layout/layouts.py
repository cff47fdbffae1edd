"""Arrays with everything that a layout adds, and their solutions by the independent simulator; shared by the tests of the layout."""

import numpy as np

from thermograd.circuits.technology.presets import preset
from thermograd.compiler.layout.extraction import extracted_netlist

from ...systems import spd
from ..oracle import operating_point

IDEAL = preset("ideal")
ALL = preset("integrated").replace(
    resistors__bits=None,
    switches__on_resistance=200.0,
    switches__leakage=3e-7,
    wires__segment_resistance=30.0,
    wires__segment_capacitance=1e-13,
    wires__crosspoint_capacitance=2e-13,
    wires__input_capacitance=1e-12,
    dac__resistance=500.0,
    dac__capacitance=3e-12,
    opamp__gain=200.0,
    opamp__offset=0.0,
)


def with_zeros(n, seed):
    """Positive definite, with entries of either sign and some of zero; column 1 (0-based) has no negative entry."""
    a = spd(n, 10.0, seed)
    rng = np.random.default_rng(seed)
    kept = np.triu(rng.uniform(size=(n, n)) < 0.6, 1)
    a = a * (kept + kept.T + np.eye(n))
    if n > 1:
        a[1], a[:, 1] = np.abs(a[1]), np.abs(a[:, 1])
    return a + max(0.0, 0.2 - float(np.linalg.eigvalsh(a)[0])) * np.eye(n)


def at_rest(program, b):
    """x of the extracted netlist, from its text, by the independent simulator."""
    return program.decode(operating_point(extracted_netlist(program, b).to_spice()))
