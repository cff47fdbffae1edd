"""`Host`: the digital side of a device, for one die or for many: drive, run, read, try again.

    find a level -> DAC -> the board relaxes -> ADC -> within range?  no: another level, again
                                                                      yes: a reading

The same for every device: a `Board` supplies the physics. Dies do not wait for one another: each has its own converters, level and noise,
and one that is done is left alone while the others go on.

A board that does not show its amplifiers' overload is read at half of the drive and without any, too (`linearity`).

A reading that is beyond the range after all attempts is followed by a run of b = 0. If that clips, too, the offsets alone
exceed the range (`Outcome.OFFSET_CLIPPED`), and no level would help.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...circuits.technology.die import Die
from ...circuits.technology.technology import Technology
from ..device import Outcome
from .auto_range import MAX_ATTEMPTS, LevelSearch, room
from .board import Board, Voltages
from .calibrated_range import CalibratedRange, outcome_of
from .converters import ROUNDING, Adc, Dac, Reading, attenuation_of
from .linearity import departs, weaker_drives
from .readout import ReadOut

WITHOUT_DRIVE, EXPLANATION, CHECKS = 0, MAX_ATTEMPTS + 1, 1000
"""Numbers of the noise streams of runs that are not attempts, which count from 1."""

Stream = Callable[[int, int], np.random.Generator]
"""The noise of one analog run: of a die's place and the number of the attempt."""


@dataclass(frozen=True, eq=False)
class Readings:
    """A run of one die as the ADC saw it.

    Attributes:
        held: cell voltages within their limits, (instants, n) V, and `samples`, what was read of them.
        left: what the next run starts from, (kept,) V; see `Voltages`.
        peak: largest voltage of any amplifier, V. room: see `auto_range.room`. clipped: whether anything was beyond its range.
    """

    held: np.ndarray
    left: np.ndarray
    samples: list[Reading]
    peak: float
    room: float
    clipped: bool

    @property
    def mean(self) -> np.ndarray:
        """Mean of the samples, (n,) V."""
        volts = [one.volts for one in self.samples]
        return volts[0] if len(volts) == 1 else np.asarray(np.mean(volts, axis=0))


@dataclass(frozen=True, eq=False)
class Trial:
    """One driven run of one die.

    Attributes:
        requested, driven: drive voltages before and after the DAC, (n,) V. start: voltages at first, (kept,) V.
        clipped: whether anything was beyond its range, the drive included.
        source: what the board gave, and the die's place in it.
        drive_range: place of the range of the input resistors in `Board.drive_gains`.
    """

    requested: np.ndarray
    driven: np.ndarray
    start: np.ndarray
    readings: Readings
    clipped: bool
    source: tuple[Voltages, int]
    drive_range: int = 0


@dataclass(frozen=True, eq=False)
class Run:
    """The result of one die after all attempts.

    Attributes:
        outcome, violations: see `Solution`.
        attempts: analog runs.
        headroom: the ranging memory that it leaves; see `auto_range`.
        level: volts for a problem unit of the last attempt, and `trial`, that attempt; None where there is nothing to read.
        without_drive: voltages that the run without drive left, (kept,) V; None where there was none.
        zero: its reading, (n,) V; None without auto-zero.
    """

    outcome: Outcome
    attempts: int
    headroom: float
    violations: tuple[str, ...] = ()
    level: float = 1.0
    trial: Trial | None = None
    without_drive: np.ndarray | None = None
    zero: np.ndarray | None = None


class Host:
    """Converters and routine of one die or of many of one technology.

    Args:
        technology: its converters and limits.
        dies: one or more.
        read_out: samples and auto-zero.
        calibrated: the range of a card.
    """

    def __init__(
        self, technology: Technology, dies: Sequence[Die], read_out: ReadOut, calibrated: CalibratedRange
    ) -> None:
        self.dies, self.read_out, self.calibrated = dies, read_out, calibrated
        self.dacs = [Dac(technology.dac, die) for die in dies]
        self.adcs = [Adc(technology.adc, die) for die in dies]
        self.amplifier_limit = technology.opamp.output_limit
        self.limit = min(technology.opamp.output_limit, technology.adc.full_scale)
        self.dac, self.adc = technology.dac, technology.adc

    def run(
        self,
        board: Board,
        b: np.ndarray,
        start: np.ndarray,
        without_drive: np.ndarray | None,
        headroom: Sequence[float],
        duration: float,
        stream: Stream,
        violations: Sequence[tuple[str, ...]],
        among: Sequence[int] | None = None,
    ) -> list[Run]:
        """Drive, relax and read every die of a board, or some of them.

        Args:
            board: programmed.
            b: drive, (n,), or (dies, n), a row for each die of the board.
            start: problem units, (n,) or (dies, n): of the cells' first voltages, the others 0; or (kept,) or (dies, kept).
            without_drive: where the last run without drive ended, (kept,); None: at zero.
            headroom: of each die, what its memory says; 1: nothing.
            duration: tau up to the first sample.
            stream: noise.
            violations: of each die, known before it runs.
            among: places of the dies to run; None: all.

        Raises:
            InputError: a run outside of the card's range, unless extrapolation is allowed; as `Board.whole_start`.
        """
        spans, obstacles = self.read_out.spans(duration), board.obstacles(duration)
        if board.takes_rows:
            [obstacle] = obstacles
            obstacles = [obstacle] * len(self.dies)
        chosen = range(len(self.dies)) if among is None else among
        runs: dict[int, Run] = {}
        for k in chosen:
            obstacle = obstacles[k]
            if obstacle is not None:
                runs[k] = Run(obstacle, 1, headroom[k], violations[k])
        pending = [k for k in chosen if k not in runs]
        b = np.broadcast_to(b, (len(self.dies), board.size))
        start = np.broadcast_to(board.whole_start(start), (len(self.dies), board.kept))
        strongest, reach = board.strongest(b), board.overshoot * np.abs(board.volts(start, 1.0)).max(axis=1)
        gain = board.drive_gains[-1] * 2.0 ** (self.dac.attenuations - 1)
        searches = {
            k: LevelSearch(float(strongest[k]), float(reach[k]), headroom[k], self.dac, self.limit, gain)
            for k in pending
        }
        checks = dict.fromkeys(pending, 0)
        within: dict[int, tuple[float, float, Trial]] = {}
        for attempt in range(1, MAX_ATTEMPTS + 1):
            if not pending:
                break
            level = np.array([[searches[k].level] for k in pending])
            tried = self._attempt(
                board, b[pending], start[pending], level, spans, pending, [stream(k, attempt) for k in pending]
            )
            linear = self._linear(board, tried, spans, stream, attempt)
            pending = []
            for k, trial in tried.items():
                checks[k] += 2 * (k in linear)
                count = attempt + checks[k]
                if trial is None:
                    runs[k] = Run(board.runaway, count, headroom[k], violations[k])
                    continue
                clipped = trial.clipped or not linear.get(k, True)
                search, left = searches[k], trial.readings.room
                used, memory = search.level, search.memory(clipped, left)
                if attempt < MAX_ATTEMPTS and search.goes_on(clipped, left):
                    pending.append(k)
                    if not clipped:
                        within[k] = used, memory, trial
                    continue
                if clipped and k in within:
                    # More was tried of the range than there was.
                    (used, memory, trial), clipped = within[k], False
                texts = violations[k] if clipped else (*violations[k], *self._beyond(k, trial.readings.peak))
                outcome = Outcome.CLIPPED if clipped else outcome_of(texts)
                runs[k] = Run(outcome, count, memory, texts, used, trial)
        if self.read_out.auto_zero:
            self._auto_zero(board, runs, without_drive, spans, stream)
        self._explain(board, runs, spans, stream)
        return [runs[k] for k in chosen]

    def respond(
        self, board: Board, requested: np.ndarray, duration: float, streams: Sequence[np.random.Generator]
    ) -> list[Readings | None]:
        """What the first die's ADCs read after runs from cells at zero, each driven by voltages that its DACs are asked for.

        Args:
            board: programmed, able to run.
            requested: (runs, n) V.
            duration: tau up to the first sample.
            streams: noise of each run.

        Returns:
            The readings of each run; None of one that is not finite.
        """
        if len(requested) > 1 and not board.takes_rows:
            rows = zip(requested, streams, strict=True)
            return [self.respond(board, row[None], duration, [stream])[0] for row, stream in rows]
        count, spans = len(requested), self.read_out.spans(duration)
        driven = Dac.convert_all(self.dacs[:1] * count, requested)
        found = board.relax(np.zeros(count, int), driven, np.zeros((count, board.kept)), spans, streams)
        finite = np.flatnonzero(np.isfinite(found.cells).all(axis=(1, 2)))
        seen: list[Readings | None] = [None] * count
        for place, readings in zip(finite, self._read([0] * count, found, finite, streams), strict=True):
            seen[place] = readings
        return seen

    def _attempt(
        self,
        board: Board,
        b: np.ndarray,
        start: np.ndarray,
        level: np.ndarray,
        spans: tuple[float, ...],
        dies: list[int],
        streams: list[np.random.Generator],
    ) -> dict[int, Trial | None]:
        """One run of some dies at their levels; None for one that is not finite.

        Each die drives its cells through the largest input resistors at which no voltage is beyond the DAC's full scale: known before it
        runs.
        """
        volts = board.strongest(b)[:, None] * level * np.array(board.drive_gains)
        within = (volts <= self.dac.full_scale * (1 + ROUNDING)).sum(axis=1)
        tried: dict[int, Trial | None] = dict.fromkeys(dies)
        for chosen, rows in _grouped(np.maximum(within - 1, 0)):
            ranged, some = board.in_range(chosen), [dies[row] for row in rows]
            noise = [streams[row] for row in rows]
            requested, begin = ranged.requested(b[rows], level[rows]), ranged.volts(start[rows], level[rows])
            driven = Dac.convert_all([self.dacs[k] for k in some], requested)
            found = ranged.relax(np.array(some), driven, begin, spans, noise)
            finite = np.flatnonzero(np.isfinite(found.cells).all(axis=(1, 2)))
            for place, readings in zip(finite, self._read(some, found, finite, noise), strict=True):
                k, source = some[place], (found, int(place))
                clipped = readings.clipped or self.dacs[k].clips(requested[place])
                tried[k] = Trial(requested[place], driven[place], begin[place], readings, clipped, source, chosen)
        return tried

    def _linear(
        self,
        board: Board,
        tried: dict[int, Trial | None],
        spans: tuple[float, ...],
        stream: Stream,
        attempt: int,
    ) -> dict[int, bool]:
        """Whether readings within range are those of a linear circuit, by die: two runs for each, of boards that do not show it."""
        asked = {k: trial for k, trial in tried.items() if trial is not None and not trial.clipped}
        if board.shows_overload or not asked:
            return {}
        found: dict[int, bool] = {}
        for ranged, dies in _as_driven(board, asked):
            idle = ranged.requested(np.zeros((len(dies), board.size)), np.ones((len(dies), 1)))
            drives = [weaker_drives(asked[k].requested, zero, self.dac) for k, zero in zip(dies, idle, strict=True)]
            settings = [attenuation_of(asked[k].requested, self.dac) for k in dies]
            begin, seen = np.stack([asked[k].start for k in dies]), []
            for place, share in enumerate((0.5, 0.0)):
                streams = [stream(k, CHECKS + 2 * attempt + place) for k in dies]
                requested = np.stack([pair[place] for pair in drives])
                driven = Dac.convert_all([self.dacs[k] for k in dies], requested, settings)
                volts = ranged.relax(np.array(dies), driven, share * begin, spans, streams)
                seen.append(self._read(dies, volts, np.arange(len(dies)), streams))
            for k, half, none in zip(dies, *seen, strict=True):
                three = (asked[k].readings.samples, half.samples, none.samples)
                found[k] = not (half.clipped or none.clipped or departs(three, self.adc))
        return found

    def _auto_zero(
        self, board: Board, runs: dict[int, Run], start: np.ndarray | None, spans: tuple[float, ...], stream: Stream
    ) -> None:
        """Runs with the drive inputs at ground. They go on where the last such run ended, as driven ones do, so that both hold the offsets
        of the same time."""
        started = {k: run.trial for k, run in sorted(runs.items()) if run.trial is not None}
        for ranged, dies in _as_driven(board, started):
            level = np.array([[runs[k].level] for k in dies])
            begin = np.zeros((len(dies), board.kept)) if start is None else board.volts(start, level)
            streams = [stream(k, WITHOUT_DRIVE) for k in dies]
            found = ranged.relax(np.array(dies), np.zeros((len(dies), board.size)), begin, spans, streams)
            for k, zero in zip(dies, self._read(dies, found, np.arange(len(dies)), streams), strict=True):
                runs[k] = dataclasses.replace(
                    runs[k],
                    outcome=Outcome.OFFSET_CLIPPED if zero.clipped else runs[k].outcome,
                    attempts=runs[k].attempts + 1,
                    headroom=1.0 if zero.clipped else runs[k].headroom,
                    without_drive=zero.left,
                    zero=zero.mean,
                )

    def _explain(self, board: Board, runs: dict[int, Run], spans: tuple[float, ...], stream: Stream) -> None:
        """Runs of b = 0 from cells at zero, where it is not known yet whether the drive clips, or offsets."""
        unclear = {
            k: run.trial for k, run in sorted(runs.items()) if run.outcome is Outcome.CLIPPED and run.trial is not None
        }
        for ranged, dies in _as_driven(board, unclear):
            nothing, streams = np.zeros((len(dies), board.size)), [stream(k, EXPLANATION) for k in dies]
            # A board that is nulled has its bias at b = 0, too.
            requested = ranged.requested(nothing, np.ones((len(dies), 1)))
            # The attenuator is left as it was.
            settings = [attenuation_of(unclear[k].requested, self.dac) for k in dies]
            driven = Dac.convert_all([self.dacs[k] for k in dies], requested, settings)
            found = ranged.relax(np.array(dies), driven, np.zeros((len(dies), board.kept)), spans, streams)
            for k, readings in zip(dies, self._read(dies, found, np.arange(len(dies)), streams), strict=True):
                outcome = Outcome.OFFSET_CLIPPED if readings.clipped else Outcome.CLIPPED
                runs[k] = dataclasses.replace(runs[k], outcome=outcome, attempts=runs[k].attempts + 1)

    def _read(
        self, dies: Sequence[int], found: Voltages, places: np.ndarray, streams: Sequence[np.random.Generator]
    ) -> list[Readings]:
        """Readings of the ADCs after a run of some dies, of those at `places` among them."""
        if not len(places):
            return []
        cells = found.cells[places]
        inside = np.zeros(len(places)) if found.internal is None else found.internal[places]
        used = np.zeros(len(places)) if found.overload is None else found.overload[places]
        peaks, held = np.abs(cells).max(axis=(1, 2)), np.clip(cells, -self.limit, self.limit)
        left = held[:, -1] if found.left is None else found.left[places].copy()
        # Voltages that nothing reads are as the board holds them.
        shown = left[:, : held.shape[-1]]
        np.clip(shown, -self.limit, self.limit, out=shown)
        adcs, noise = [self.adcs[dies[place]] for place in places], [streams[place] for place in places]
        samples = [Adc.convert_all(adcs, held[:, instant], noise) for instant in range(held.shape[1])]
        return [
            Readings(
                held=held[row],
                left=left[row],
                samples=[instant[row] for instant in samples],
                peak=float(max(peak, internal)),
                room=room([(float(peak), self.limit), (float(internal), self.amplifier_limit), (float(share), 1.0)]),
                # Written so that nan is beyond the range.
                clipped=not (peak <= self.limit and internal <= self.amplifier_limit and share <= 1.0)
                or any(instant[row].clipped for instant in samples),
            )
            for row, (peak, internal, share) in enumerate(zip(peaks, inside, used, strict=True))
        ]

    def _beyond(self, k: int, peak: float) -> tuple[str, ...]:
        """Violations of the validity range by the largest voltage of a die's run. InputError unless extrapolation is allowed."""
        texts = self.calibrated.of_level(peak)
        seed = self.dies[k].seed
        named = texts if seed is None else tuple(f"die {seed}: {text}" for text in texts)
        self.calibrated.check(named)
        return texts


def _grouped(ranges: np.ndarray) -> Iterator[tuple[int, list[int]]]:
    """Each range with the places, in order, that are in it."""
    for chosen in np.unique(ranges).tolist():
        yield chosen, np.flatnonzero(ranges == chosen).tolist()


def _as_driven(board: Board, trials: dict[int, Trial]) -> Iterator[tuple[Board, list[int]]]:
    """The board in each range that trials were driven in, and their dies."""
    dies = list(trials)
    for chosen, places in _grouped(np.array([trial.drive_range for trial in trials.values()], dtype=int)):
        yield board.in_range(chosen), [dies[place] for place in places]
