"""`measure_cells`: what each crosspoint of a die holds, measured through the device's own DACs and ADCs, for write-and-verify.

What an array of integrators lets one see is its voltages at rest. So test matrices are programmed, of codes that the host chooses:
senders P with a diagonal alone, and receivers with a diagonal and an entry in each column of P, all of the same code c. Driven at one
sender j by u volts, with L the conductance at an amplifier's input and A0 its gain,

    (g_jj + L_j / A0) v_j = g_in,j u,                     v_j / u   = g_in,j / (g_jj + L_j / A0)
    (g_ii + L_i / A0) v_i = -g_ij v_j,                   -v_i / v_j = g_ij / (g_ii + L_i / A0),              i not in P,

and all else is at rest. With L / A0 known from the codes and the nominal gain, to the mismatch of a sum, both ratios together give each g
over the g_in of its row: and that is all that counts, since a row is driven through g_in. Gains of DAC and ADC are those of
the later readings, too, so that what is measured makes those right; in the second ratio they cancel. Offsets cancel in the difference
of readings at u and -u.

Quantisation is averaged over levels u: sums of readings at `levels` codes of the DAC. The code c is the one nearest to 0.618 of the
largest, so that voltages are 1.6 times the levels: what the ADC rounds off then goes through all fractions of its step as the level
goes from code to code, and the mean of it falls about as 1 / levels. With a code of a simple ratio it would be the same at each.

Columns of sqrt(n) senders are programmed at once, first of neighbours and then of cells that are sqrt(n) apart: two cells are never
in one block of both kinds, so that every crosspoint is measured, most of them twice.

The factor is a crosspoint's own, whatever its code: that is how the parts of a die deviate here. Where each has a fixed error of the full
range besides (`resistors.range_error`), all is measured at a second code, half as large, and the line through both says factor and offset.
Errors that are drawn anew at a programming or in a run are none of the die's: they are averaged over `programmings` of each test matrix,
and what they leave in the table is in its `repeatability`. Test matrices count by themselves. A second slice is not measured: its own
mismatch is a share of less than a code of the first one. Wires are not in this law.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.converters import Converter
from ...circuits.technology.redraw import Redraw
from ...compiler.compile import lay_out
from ...compiler.conductance_errors import writing_errs
from ...compiler.passes.quantise import is_discrete, nearest
from ...compiler.program import AnalogProgram
from ...compiler.programming import CellTable
from ..host.converters import drive_codes, step_of
from .circuit import CircuitDevice

SHARE = (math.sqrt(5) - 1) / 2
"""Of the largest conductance that a measured crosspoint is given."""
RANGE = 0.85
"""Share of the limit that the largest voltage is planned at: parts may deviate by what is left."""
TRIES, LOWER = 4, 0.5
"""Drives that are tried, each that share of the one before. In a large array offsets add up in a receiver, and a sender drives
all others, which takes more current than its amplifier may have."""
DURATION = 25.0
"""Of a run, tau: a cell of that conductance has settled to e^-15. One of less takes longer in proportion."""
STREAM = 100
"""Number of these runs' noise streams, beyond those of attempts, and of the series that test matrices and their runs are."""


def measure_cells(device: CircuitDevice, size: int, levels: int = 64, programmings: int = 1) -> CellTable:
    """Measure the crosspoints of a device's array.

    Args:
        device: with fabric "crossbar", without layout. What is loaded, its state and its noise stay as they are.
        size: cells n >= 2 of the array.
        levels: of the drive, each with either sign, for each column. With converters of 8 bits, 64 make factors right to 3e-4
            (one standard deviation), a seventh of half a code of 8 bits.
        programmings: of each test matrix. Write noise of s of the full range leaves some 1.2 s / sqrt(programmings) in a factor.

    Raises:
        InputError: another fabric, a layout, a size below 2, no levels or programmings; readings beyond the range with four drives, each
            half of the one before.
    """
    if device.fabric != "crossbar" or device.layout:
        raise InputError(
            f"measure_cells with fabric {device.fabric!r}, layout={device.layout}: its law is that of fabric 'crossbar' without layout"
        )
    for name, value, least in (("size", size, 2), ("levels", levels, 1), ("programmings", programmings, 1)):
        if not isinstance(value, int) or value < least:
            raise InputError(f"{name} is {value!r}: give an integer >= {least}")
    bench = _Bench(device, size, levels)
    held, error = bench.conductances(SHARE, programmings)
    factors, offsets, code = held / bench.code, None, bench.code
    if device.technology.resistors.range_error:
        lower, _ = bench.conductances(SHARE / 2, programmings)
        factors = (held - lower) / (code - bench.code)
        offsets = (held - factors * code)[None].astype(np.float32)
    return CellTable(
        factors=factors[None].astype(np.float32),
        repeatability=error / code,
        runs=bench.runs,
        seconds=bench.taus * bench.tau,
        conversions=(1 + device.read_out.reads) * size * bench.runs,
        programmings=bench.programmings,
        codes=bench.codes,
        offsets=offsets,
    )


def _levels(largest: float, count: int, dac: Converter, adc: Converter) -> np.ndarray:
    """Drive levels, V, down from the largest one to no less than half of it, of codes about as far apart as those of the ADC."""
    step = step_of(dac)
    spacing = max(step, step_of(adc)) if step == 0 else max(1, round(step_of(adc) / step)) * step
    if spacing == 0 or spacing * count > largest / 2:
        spacing = largest / 2 / count
    return np.array([drive_codes(np.array([level]), dac)[0] for level in largest - spacing * np.arange(count)])


class _BeyondRange(Exception):
    """A reading beyond the converters' or the amplifiers' range."""


class _Bench:
    """Test matrices on a device, and readings of them.

    Attributes:
        code: c, over the largest conductance, of the last test matrices. tau: s.
        runs, taus, programmings, codes: so far; taus: of their analog time.
    """

    def __init__(self, device: CircuitDevice, size: int, levels: int) -> None:
        technology = device.technology
        self._device, self._size = device, size
        self._blank = lay_out(np.eye(size), "crossbar", technology)
        self.tau = self._blank.tau
        self._count = levels
        self.runs, self.taus, self.programmings, self.codes = 0, 0.0, 0, 0
        self._loaded = np.zeros((size, size), dtype=bool)

    def conductances(self, share: float, programmings: int) -> tuple[np.ndarray, float]:
        """What the crosspoints hold at the code nearest to a share of the largest conductance, (n, n) over that, in units of the row's
        input resistor; and the standard error of a crosspoint's, from what its measurements differ by."""
        device, technology, size = self._device, self._device.technology, self._size
        full = 1.0 / technology.resistors.unit
        value = np.array([share * full])
        self._conductance = float(
            (nearest(value, technology.resistors) if is_discrete(technology.resistors) else value)[0]
        )
        self.code, self._duration = self._conductance / full, DURATION * SHARE / share
        largest = min(technology.dac.full_scale, RANGE * device.host.limit * self.code)
        width, cells = math.isqrt(size - 1) + 1, np.arange(size)
        blocks = [[cells[key == k] for k in range(key.max() + 1)] for key in (cells // width, cells % width)]
        for lower in range(TRIES):
            self._levels = _levels(largest * LOWER**lower, self._count, technology.dac, technology.adc)
            try:
                found = [self.ratios(of) for _ in range(programmings) for of in blocks]
                break
            except _BeyondRange as beyond:
                if lower + 1 == TRIES:
                    raise InputError(
                        f"measure_cells: {beyond}, beyond the range of {device.host.limit:.3g} V, although the drive was lowered to "
                        f"{LOWER**lower:.0%} of what cells of nominal parts bear: parts of this die deviate too far, or the array is too "
                        "large for its amplifiers' output"
                    ) from None
        leak = device.nominal_leak
        diagonal = 1.0 / np.mean([sent for sent, _ in found], axis=0) - leak * (self.code + 1.0)
        each = np.stack([self.received(ratio, diagonal, leak) for _, ratio in found])
        known = np.isfinite(each)
        times = np.maximum(known.sum(axis=0), 1)
        held = np.where(known, each, 0.0).sum(axis=0) / times
        square = np.where(known, (each - held) ** 2, 0.0).sum(axis=0)[times > 1]
        more = times[times > 1]
        np.fill_diagonal(held, diagonal)
        return held, float(np.sqrt(np.mean(square / (more - 1) / more))) if len(more) else math.nan

    def ratios(self, blocks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """v_j / u, (n,), and -v_i / v_j, (n, n), with each block as senders in turn; nan among cells of one block."""
        n = self._size
        sent, received = np.full(n, np.nan), np.full((n, n), np.nan)
        for block in blocks:
            program = self._program(block)
            others = np.setdiff1d(np.arange(n), block)
            for j, volts in zip(block, self._read(program, block), strict=True):
                sent[j] = volts[j] / self._levels.sum()
                received[others, j] = -volts[others] / volts[j]
        return sent, received

    def received(self, ratio: np.ndarray, diagonal: np.ndarray, leak: float) -> np.ndarray:
        """g_ij over the full conductance from -v_i / v_j, (n, n), with g_ii known."""
        # A receiver has an entry for each sender of the block, which are those without a ratio.
        senders = np.isnan(ratio).sum(axis=0)
        return ratio * (diagonal[:, None] + leak * (1.0 + self.code * (1 + senders)))

    def _program(self, block: np.ndarray) -> AnalogProgram:
        n = self._size
        present = np.eye(n, dtype=bool)
        present[:, block] = True
        present[np.ix_(block, block)] = np.eye(len(block), dtype=bool)
        changed = (
            present.size if writing_errs(self._device.technology.resistors) else int((present != self._loaded).sum())
        )
        self.programmings, self.codes = self.programmings + 1, self.codes + changed
        self._loaded = present
        parts = self._blank.parts
        entries = [self._conductance * present, np.zeros((n, n))][: parts.slices]
        return dataclasses.replace(self._blank, parts=parts.with_entries(entries))

    def _redraw(self, number: int) -> Redraw:
        return Redraw(self._device.seed, self._device.die.seed, number, STREAM)

    def _read(self, program: AnalogProgram, block: np.ndarray) -> np.ndarray:
        """Sums over levels of half the differences of readings at u and -u, (senders, n) V, each sender driven alone."""
        device, signed = self._device, np.concatenate([self._levels, -self._levels])
        requested = np.zeros((len(block), len(signed), self._size))
        requested[np.arange(len(block)), :, block] = signed
        rows = requested.reshape(-1, self._size)
        noise = [
            np.random.default_rng([device.seed, device.die.seed or 0, self.runs + k, STREAM]) for k in range(len(rows))
        ]
        total, writing = np.zeros_like(requested), self._redraw(self.programmings - 1)
        if device.technology.resistors.read_noise:
            found = [
                device.host.respond(
                    device.board_of(program, writing, self._redraw(self.runs + k)),
                    row[None],
                    self._duration,
                    noise[k : k + 1],
                )[0]
                for k, row in enumerate(rows)
            ]
        else:
            found = device.host.respond(device.board_of(program, writing), rows, self._duration, noise)
        self.runs += len(rows)
        self.taus += len(rows) * sum(device.read_out.spans(self._duration))
        for place, seen in enumerate(found):
            j, k = divmod(place, len(signed))
            if seen is None or seen.clipped:
                read = "no finite voltage" if seen is None else f"{seen.peak:.3g} V"
                raise _BeyondRange(f"cells show {read} when cell {block[j]} is driven by {abs(signed[k]):.3g} V")
            total[j, k] = seen.mean
        return np.asarray((np.sign(signed)[:, None] * total).sum(axis=1) / 2)
