"""`WarmingDies`: temperatures of a batch's dies from run to run, each the same as of a `SurrogateDevice` of that die."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ...circuits.technology.die import Die
from ...circuits.technology.drive_resistors import drive_conductances
from ...circuits.technology.redraw import Redraw
from ...compiler.conductance_errors import fluctuating
from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..devices.circuit import ProgramUnits
from ..devices.die_temperature import DieTemperature, heat_of_run
from ..host.host import Run


class WarmingDies:
    """New dies of one program.

    Args:
        nominal: the program. dies: without it. card: what their parts are by. seed: of the noise.
    """

    def __init__(self, nominal: AnalogProgram, dies: Sequence[Die], card: DeviceCard, seed: int) -> None:
        self._nominal, self._seed, self._given = nominal, seed, dies
        self._card = card
        self._now = [DieTemperature(die, seed) for die in dies]
        self._amplifiers = nominal.parts.amplifier_heat(dies[0])
        self._programs: dict[int, tuple[Die, AnalogProgram]] = {}

    def dies(self) -> list[Die]:
        """The dies as their parts are made for them now; the same objects while no value has changed."""
        return [one.die_for(self._nominal.parts) for one in self._now]

    def cells(self) -> list[np.ndarray]:
        """Present temperatures of each, (cells, cells) K."""
        return [one.cells(self._nominal.parts) for one in self._now]

    def follow(
        self, places: Sequence[int], runs: Sequence[Run], counts: Sequence[int], board: ProgramUnits, duration: float
    ) -> None:
        """Let the time pass of runs of some dies on a board, of `duration` tau, which were number `counts` of theirs."""
        between = self._nominal.technology.thermal.between_runs
        for place, run, count in zip(places, runs, counts, strict=True):
            seconds = run.attempts * duration * self._nominal.tau
            heat = self._amplifiers
            if run.trial is not None:
                ranged = board.in_range(run.trial.drive_range)
                assert isinstance(ranged, ProgramUnits)
                program = self._program(place, run.trial.drive_range, count)
                heat = heat + heat_of_run(program, ranged.amperes_per_volt, run.trial)
            self._now[place].advance(seconds if math.isfinite(seconds) else 0.0, heat)
            self._now[place].advance(run.attempts * between, self._amplifiers)

    def _program(self, place: int, drive_range: int, count: int) -> AnalogProgram:
        """The program as a die has it in a run."""
        card, die, resistors = (
            self._card,
            self._now[place].die_for(self._nominal.parts),
            self._card.technology.resistors,
        )
        if place not in self._programs or self._programs[place][0] is not die:
            self._programs[place] = die, card.on(self._nominal, die, Redraw(self._seed, die.seed, 0))
        program = self._programs[place][1]
        if resistors.read_noise:
            redraw = Redraw(self._seed, die.seed, count)
            program = dataclasses.replace(program, parts=fluctuating(program.parts, resistors, redraw))
        if drive_range > 0:
            conductance = float(drive_conductances(resistors)[drive_range])
            program = program.with_drive(conductance, die, card.mismatch.value)
        return program
