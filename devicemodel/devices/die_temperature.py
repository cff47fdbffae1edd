"""`DieTemperature`: the temperature of one die as a state of its device, and the die that its parts were last made for.

A run is microseconds and the die's fastest time constant some 0.5 ms (`circuits.technology.thermal.time_constants`), so that a run takes
temperatures as they are at its start. After it its duration passes, under the heat of the amplifiers and of the resistors at the voltages
that it ended with, and then `Thermal.between_runs` under the amplifiers' alone. What the compiler chose knows nothing of it.

Parts are made anew for another temperature only where a value would change by more than `VALUE`, or Johnson noise by more than `NOISE` of
its power: the law of a large program costs more than its runs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...circuits.technology.redraw import Redraw
from ...circuits.technology.thermal_state import ThermalState
from ...compiler.analysis.heat import resistor_heat
from ...compiler.parts import Parts
from ...compiler.program import AnalogProgram
from ..host.host import Trial

VALUE = 1e-6
"""Largest relative change of a resistance that is left out."""
NOISE = 1e-3
"""Largest relative change of a temperature that is left out: of the power of Johnson noise."""


class DieTemperature:
    """Temperatures of a die from run to run, if its technology's are `dynamic`; else steady, or as they were set.

    Args:
        die: without a program. seed: of the device's noise; the ambient in time is drawn from it and the die.
    """

    def __init__(self, die: Die, seed: int) -> None:
        self._die, self._seed, self._dynamic = die, seed, die.technology.thermal.dynamic
        self._state: ThermalState | None = None
        self._made: Die | None = None
        self._supplied: tuple[Parts, Die] | None = None  # of the last parts that were asked for
        self._moves = 0

    @property
    def ambient(self) -> float:
        """Present ambient temperature, K."""
        return self._die.ambient if self._state is None else self._state.ambient

    def cells(self, parts: Parts | None) -> np.ndarray:
        """Present temperatures, (cells, cells) K, of the die with these parts' amplifiers, None: without a program."""
        if self._state is not None:
            return self._state.temperatures
        if parts is None:
            return self._die.temperatures
        if self._supplied is None or self._supplied[0] is not parts:
            self._supplied = parts, parts.supplied(self._die)
        return self._supplied[1].temperatures

    def set(self, temperatures: Any) -> None:
        """Put the die at these temperatures, (cells, cells) K, or at one; its ambient stays."""
        self._state = ThermalState(self._die.technology.thermal, self.ambient, temperatures)

    def die_for(self, parts: Parts) -> Die:
        """The die as these parts are made for it: the same object while no value has changed."""
        if self._state is None and self._dynamic:
            # The supplies are on since long ago.
            self.set(self.cells(parts))
        if self._state is None:
            return self._die
        if self._made is None or self._changed(self._made.temperatures, self._state.temperatures):
            self._made = self._die.at(self._state.temperatures)
        return self._made

    def advance(self, seconds: float, heat: np.ndarray) -> None:
        """Let time pass under a heat, (cells, cells) W, on top of the record's."""
        state = self._state
        if state is None or not self._dynamic or not 0 < seconds < math.inf:
            return
        deviates = None
        if state.draws:
            number = np.arange(state.draws)
            draw = Redraw(self._seed, self._die.seed, self._moves)
            deviates = draw.deviates_of("ambient_in_time", np.zeros_like(number), number)
        self._moves += 1
        state.advance(seconds, heat, deviates)

    def state_dict(self) -> dict[str, Any]:
        """Ambient, temperatures, those that parts were last made for, and the number of moves."""
        now, made = self._state, self._made
        return {
            "ambient": self.ambient,
            "cells": None if now is None else torch.from_numpy(now.temperatures.copy()),
            "made": None if made is None else torch.from_numpy(made.temperatures.copy()),
            "moves": self._moves,
        }

    def load_state_dict(self, held: Any) -> None:
        """Restore a state of `state_dict`.

        Raises:
            InputError: not such a state.
        """
        if not isinstance(held, dict) or set(held) != {"ambient", "cells", "made", "moves"}:
            raise InputError(
                "state['temperature'] must hold ambient, cells, made and moves: give what state_dict() returned"
            )
        moves, ambient = held["moves"], held["ambient"]
        if not (isinstance(moves, int) and moves >= 0 and isinstance(ambient, float) and math.isfinite(ambient)):
            raise InputError(
                f"state['temperature'] has moves = {moves!r} and ambient = {ambient!r}: an integer >= 0, and a finite temperature in K"
            )
        state = made = None
        if held["cells"] is not None:
            state = ThermalState(self._die.technology.thermal, ambient, _grid("cells", held["cells"]))
        if held["made"] is not None:
            made = self._die.at(_grid("made", held["made"]))
        self._state, self._made, self._moves = state, made, moves

    def _changed(self, before: np.ndarray, now: np.ndarray) -> bool:
        """Whether a part made for the first temperatures is another one at the second."""
        thermal = self._die.technology.thermal
        if thermal.johnson_noise and float(np.abs(now / before - 1).max()) > NOISE:
            return True
        old, new = self._die.temperature_factor(before), self._die.temperature_factor(now)
        return bool(np.abs(new / old - 1).max() > VALUE)


def _grid(name: str, values: Any) -> np.ndarray:
    if not isinstance(values, Tensor):
        raise InputError(
            f"state['temperature'][{name!r}] is a {type(values).__name__}: give a tensor of temperatures in K"
        )
    return np.asarray(values.detach().cpu().double().numpy())


def heat_of_run(program: AnalogProgram, amperes_per_volt: float, trial: Trial) -> np.ndarray:
    """Heat of the resistors at the voltages that a run ended with, (cells, cells) W.

    Args:
        program: with the parts of the die, input resistors of the run's range among them. amperes_per_volt: of its drive.
    """
    currents = trial.driven * amperes_per_volt
    heat = program.parts.dissipation(trial.readings.held[-1], currents, program.technology.opamp.gain)
    return resistor_heat(program, program.technology.thermal.cells, heat)
