"""What mismatch of its transistors does to an amplifier: offset, gain and bandwidth of drawn ones, and how they follow each transistor.

Many copies of the amplifier, each with its own deviations, are measured as inverting stages of gain -1 (`testbench`) in one netlist, so
that its device models are loaded once:

    offset      v_out / A0 - v_id at rest
    A0          |A| at low frequency
    GBW         A0 f_1, f_1 = f / sqrt((A0 / |A(f)|)^2 - 1) at an f halfway down the roll-off, where neither end counts

The sensitivities are differences over one standard deviation of each transistor to either side.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SimulationError
from ..netlist.analyses import AC, OperatingPoint
from ..netlist.elements import VCVS, Capacitor, Resistor, VoltageSource
from ..netlist.netlist import Netlist
from ..netlist.semiconductors import Mosfet
from ..ngspice.run import run
from ..technology.amplifier_draw import deviations_of, slopes_of
from ..technology.mismatch import transistors_of, with_mismatch
from ..technology.pdk.pelgrom import Pelgrom
from ..technology.transistor_mismatch import CAUSES, FIGURES, TransistorMismatch
from .testbench import Bench
from .user_netlist import Amplifier

Array = NDArray[np.float64]
START, STOP = 1e-6, 1e11
"""Range of a sweep, Hz."""
RESISTOR = 1e3
"""Of the stages, ohm: a current into the inputs shall not count."""
MARK = "_copy"
"""Suffix of the nominal copy."""
LARGEST_DECK = 1500
"""Transistors in one netlist."""


@dataclass(frozen=True, eq=False)
class MismatchBench:
    """An amplifier's copies on one bench.

    Args:
        amplifier: whose MOS transistors have the deviations.
        load_resistance, load_capacitance: from each output to ground, ohm and F. temperature: K; None: that of the netlist.
        timeout: limit for each simulation, s.
    """

    amplifier: Amplifier
    load_resistance: float = math.inf
    load_capacitance: float = 0.0
    temperature: float | None = None
    timeout: float = 300.0

    def __post_init__(self) -> None:
        if not self.count:
            raise InputError("the amplifier has no MOS transistors, whose mismatch is measured here; give one that has")

    @property
    def count(self) -> int:
        """Number of its MOS transistors K."""
        return len(self.amplifier.parts.of(Mosfet))

    def halfway(self) -> float:
        """Frequency halfway down the nominal amplifier's roll-off, on a logarithmic scale, Hz."""
        frequency, response = self._bench.gain(RESISTOR, START, STOP)
        size = np.abs(response)
        if not (size[0] > 1 > size[-1]):
            raise SimulationError(
                f"the amplifier's gain is {size[0]:.3g} at {START:g} Hz and {size[-1]:.3g} at {STOP:g} Hz: it must fall through 1"
            )
        corner, unity = (frequency[np.flatnonzero(size < level)[0]] for level in (size[0] / math.sqrt(2), 1.0))
        return float(math.sqrt(corner * unity))

    def figures(self, deviations: np.ndarray, frequency: float) -> Array:
        """Offset (V), A0 and GBW (Hz) of amplifiers with such transistors, (N, 3).

        Args:
            deviations: of threshold (V) and of the logarithm of the current factor, (N, K, 2), in the netlist's order.
            frequency: of `halfway`, Hz.

        Raises:
            InputError: deviations of another shape.
            SimulationError: ngspice finds no operating point, or one of them does not amplify.
        """
        given = np.asarray(deviations, dtype=float)
        if given.ndim != 3 or given.shape[1:] != (self.count, 2):
            raise InputError(f"deviations have shape {given.shape}; (N, {self.count}, 2) is needed")
        size, guess = max(1, LARGEST_DECK // self.count), self._nominal()
        decks = [self._deck(given[at : at + size], frequency, guess) for at in range(0, len(given), size)]
        return np.concatenate([np.zeros((0, 3)), *decks])

    @property
    def kelvin(self) -> float:
        """Temperature, K."""
        return self.amplifier.parts.temperature if self.temperature is None else self.temperature

    @property
    def _bench(self) -> Bench:
        """Of the nominal amplifier."""
        outputs = len(self.amplifier.outputs)
        return Bench(self.amplifier, outputs, self.load_resistance, self.load_capacitance, self.kelvin, self.timeout)

    def _add(self, netlist: Netlist, deviations: np.ndarray, suffix: str) -> None:
        """One copy with its stage: nodes ni, lo, p (and m)."""
        amplifier = dataclasses.replace(self.amplifier, parts=with_mismatch(self.amplifier.parts, deviations))
        ends = (("lo", "p", 1.0), ("ni", "m", -1.0))[: len(amplifier.outputs)]
        if len(ends) == 1:
            netlist.add(VoltageSource(f"VG{suffix}", f"ni{suffix}", "0", 0.0))
        for summing, output, sign in ends:
            name, inner = f"{output}{suffix}", f"{summing}{suffix}"
            netlist.add(
                VoltageSource(f"VIN{name}", f"in{name}", "0", 0.0, sign / len(ends)),
                Resistor(f"RI{name}", f"in{name}", inner, RESISTOR, noisy=False),
                VCVS(f"EF{name}", f"copy{name}", "0", name, "0", 1.0),
                Resistor(f"RF{name}", f"copy{name}", inner, RESISTOR, noisy=False),
            )
            if math.isfinite(self.load_resistance):
                netlist.add(Resistor(f"RL{name}", name, "0", self.load_resistance, noisy=False))
            if self.load_capacitance:
                netlist.add(Capacitor(f"CL{name}", name, "0", self.load_capacitance))
        outputs = tuple(f"{output}{suffix}" for _, output, _ in ends)
        amplifier.add(netlist, (f"ni{suffix}", f"lo{suffix}"), outputs, f"dut{suffix}")

    def _nominal(self) -> dict[str, float]:
        """Voltages at rest of one nominal copy, V, by node without its suffix."""
        netlist = Netlist("amplifier on the bench", temperature=self.kelvin)
        self._add(netlist, np.zeros((self.count, 2)), MARK)
        volts = run(netlist, OperatingPoint(), timeout=self.timeout).voltages
        return {node.removesuffix(MARK): value for node, value in volts.items() if node.endswith(MARK)}

    def at_rest(self) -> dict[str, float]:
        """Voltages of the nominal amplifier's nodes at rest, V against the array's ground, by their names in its netlist."""
        nominal, amplifier = self._nominal(), self.amplifier
        ports = dict(zip((*amplifier.inputs, *amplifier.outputs), ("ni", "lo", "p", "m"), strict=False))
        found = {
            node: nominal[ports.get(node, f"{node}_ampdut")]
            for node in amplifier.parts.nodes
            if node not in amplifier.supplies
        }
        return found | {"0": 0.0} | amplifier.rails

    def _deck(self, deviations: np.ndarray, frequency: float, nominal: dict[str, float]) -> Array:
        netlist = Netlist("amplifiers on the bench", temperature=self.kelvin)
        for k, one in enumerate(deviations):
            self._add(netlist, one, f"_{k}")
        ends = ("ni", "lo", *("p", "m")[: len(self.amplifier.outputs)])
        nodes = tuple(f"{node}_{k}" for k in range(len(deviations)) for node in ends)
        # Mismatch moves them by millivolts; from zero an amplifier that makes its own bias is not always found.
        guess = tuple((f"{node}_{k}", volts) for k in range(len(deviations)) for node, volts in nominal.items())
        rest = run(netlist, OperatingPoint(nodes, guess), timeout=self.timeout).voltages
        sweep = run(netlist, AC(START, frequency, 1, nodes, guess), timeout=self.timeout)
        found = np.empty((len(deviations), 3))
        for k, row in enumerate(found):
            at_rest = {node: rest[f"{node}_{k}"] for node in ends}
            moved = {node: sweep.voltages[f"{node}_{k}"] for node in ends}
            response = (moved["p"] - moved.get("m", 0.0)) / (moved["ni"] - moved["lo"])
            gain, there = float(response[0].real), float(abs(response[-1]))
            if not gain > there > 0:
                raise SimulationError(
                    f"an amplifier with mismatch has a gain of {gain:.4g} at {START:g} Hz and of {there:.4g} at {frequency:.4g} Hz: it "
                    "does not amplify; do its transistors differ by that much?"
                )
            last = float(sweep.frequency[-1])
            offset = (at_rest["p"] - at_rest.get("m", 0.0)) / gain - (at_rest["ni"] - at_rest["lo"])
            row[:] = offset, gain, gain * last / math.sqrt((gain / there) ** 2 - 1)
        return found


@dataclass(frozen=True, eq=False)
class AmplifierSensitivities:
    """How an amplifier's figures follow its transistors, to first order.

    Attributes:
        transistors: for `OpAmp.transistors`, in the netlist's order.
        offset, gain, gbw: of the nominal amplifier, V, 1 and Hz.
    """

    transistors: tuple[TransistorMismatch, ...]
    offset: float
    gain: float
    gbw: float

    @property
    def deviations(self) -> Array:
        """Standard deviations of Vos (V), ln A0 and ln GBW by the small-signal formula, the root of sum_k (slope_k sigma_k)^2, (3,)."""
        moved = slopes_of(self.transistors) * deviations_of(self.transistors)
        return np.asarray(np.sqrt((moved**2).sum(axis=(1, 2))))

    def figures(self, deviations: np.ndarray) -> Array:
        """Offset (V), A0 and GBW (Hz) of amplifiers with deviations (N, K, 2), to first order, (N, 3)."""
        moved = np.einsum("nkd,fkd->nf", np.asarray(deviations, dtype=float), slopes_of(self.transistors))
        return np.column_stack(
            [self.offset + moved[:, 0], self.gain * np.exp(moved[:, 1]), self.gbw * np.exp(moved[:, 2])]
        )


def amplifier_sensitivities(bench: MismatchBench, laws: Mapping[str, Pelgrom]) -> AmplifierSensitivities:
    """Measure how an amplifier's offset, gain and bandwidth follow the threshold and current factor of each of its transistors.

    Args:
        bench: with the load that the amplifier will have. laws: name of a model -> its Pelgrom coefficients.

    Raises:
        InputError: as `transistors_of`.
        SimulationError: as `MismatchBench.figures`.
    """
    known = transistors_of(bench.amplifier.parts, laws)
    steps = np.array([(one.threshold, one.current_factor) for one in known])
    # Nominal, then each transistor's two figures up, then down; a figure that does not scatter has no slope.
    single = np.zeros((2 * len(known), len(known), 2))
    for k in range(len(known)):
        single[2 * k, k, 0], single[2 * k + 1, k, 1] = steps[k]
    found = bench.figures(np.concatenate([np.zeros((1, len(known), 2)), single, -single]), bench.halfway())
    offset, gain, gbw = found[0].tolist()
    up, down = np.split(np.column_stack([found[:, 0], np.log(found[:, 1:])])[1:], 2)
    widths = 2 * steps.reshape(-1, 1)
    slopes = np.divide(up - down, widths, out=np.zeros_like(up), where=widths > 0).reshape(len(known), 2, 3)
    names = [f"{figure}_by_{cause}" for cause in CAUSES for figure in FIGURES]
    transistors = tuple(
        TransistorMismatch(
            name=one.name,
            threshold=one.threshold,
            current_factor=one.current_factor,
            **dict(zip(names, slope.ravel().tolist(), strict=True)),
        )
        for one, slope in zip(known, slopes, strict=True)
    )
    return AmplifierSensitivities(transistors, offset, gain, gbw)
