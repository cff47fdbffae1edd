"""Where a card's law takes a program, by the law that its surrogate runs on: that of all states, or of cells of first order."""

from __future__ import annotations

import numpy as np
import torch

from ...circuits.technology.technology import Technology
from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..devices.cell_law import propagate
from ..devices.state_space_law import StateSpaceLaw


def predicted(
    program: AnalogProgram, currents: np.ndarray, start: np.ndarray, duration: float, card: DeviceCard
) -> np.ndarray:
    """Voltages that are read after `duration` tau without noise, (n,) V; nan where there are none.

    Args:
        program: on its die. currents: drive of the cells, (n,) A. start: voltages at first, (n,) or (states * n,) V.
        card: the amplifiers' figures and the gain.
    """
    if not program.fabric.has_linear_law:
        return propagate(program, currents, start, duration, card, noisy=False)[0]
    return reached(program, card.gain.value * currents, start, duration, card.circuit_technology())


def reached(
    program: AnalogProgram, currents: np.ndarray, start: np.ndarray, duration: float, technology: Technology
) -> np.ndarray:
    """The same by the law of all states, with this technology's amplifiers."""
    law = StateSpaceLaw(program.fabric.linear_law(program.parts, technology), technology.opamp, program.tau)
    kept = np.pad(start, (0, program.fabric.states * program.size - len(start)))
    forces = torch.from_numpy(currents)[None]
    motion = law.begin(torch.from_numpy(kept)[None], forces)
    found = law.advance(motion, forces, duration) if duration > 0 else motion
    return np.full(program.size, np.nan) if found is None else law.read(found)[0].numpy()
