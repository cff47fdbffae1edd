"""What a linear circuit does beyond the first-order law of its cells: a fit to its readings must not take that for its parameters.

The law leaves out the amplifiers' own states and what rails of unequal parts make of the common mode of a pair. At a card's figures the
circuit's exact motion, that of the whole netlist in state space, is known as well as the law's; their difference is of some 1e-5 to 1e-3
of a reading and hardly depends on the figures, so that the law with this difference added stands for the circuit in a fit near them.
"""

from __future__ import annotations

import numpy as np

from ...circuits.amplifiers.models import OnePole
from ...circuits.linear.statespace import state_space
from ..card import DeviceCard
from .fitting import Observation, on_die
from .predicted import predicted


def beyond_the_law(run: Observation, card: DeviceCard) -> np.ndarray:
    """Where a run ends in the netlist of a card's figures, amplifiers of one pole, less where the law takes it, (n,) V."""
    program, currents = on_die(run, card)
    amplifier = OnePole(card.circuit_technology().opamp) if program.fabric.active else None
    circuit = state_space(program.circuit(card.gain.value * currents, run.probe.start, amplifier))
    ends = circuit.transition(run.probe.duration * program.tau)
    exact = program.cell_volts({name.lower(): volts for name, volts in zip(circuit.outputs, ends, strict=True)})
    return exact - predicted(program, currents, run.probe.start, run.probe.duration, card)
