"""`factored`: a matrix that is a product, as a cascade of resistor arrays that is never multiplied out.

For the Gauss-Newton matrix A = J^T H J + lambda these are the paper's three arrays J, H, J^T (arXiv 2405.13817), for a Kronecker
product A (x) B the two arrays A (x) 1 and 1 (x) B. With signed conductance matrices G_1 (next to the cells) to G_T, summing amplifiers
with feedback g_t after each array but the last, eps(s) = 1/A0 + s / (2 pi GBW) and row sums L_t:

    w_t = [g_t + eps (L_t + g_t)]^-1 G_t w_(t-1),   w_0 = v
    [s C (1 + eps) + eps L + g_damp] v + G_T w_(T-1) = I + L Vos

Conditions: the product symmetric positive semi-definite, damping that makes it definite. Parts, twice each for two rails: with k rows of
J, 2 k N + k^2 array resistors, feedback, damping and input resistors; N + 2 k amplifiers. Time constants C / (g lambda). First-order
errors: each summing stage loses a share (L_t / g_t + 1) / A0 of its signal, the integrators as in `crossbar`. Every stage adds a pole at
g_t / (L_t + g_t) of the gain-bandwidth product; `compile_system` checks that the loop stays stable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy import sparse

from ...circuits.amplifiers.models import IDEAL_GAIN, AmplifierCell, OnePole
from ...circuits.errors import UnrealisableError
from ...circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.e_series import preferred_conductance
from ...circuits.technology.technology import Technology
from ..linear_law import LinearLaw
from ..matrices import Matrix
from ..parts import AtRest, CellNoise
from .base import Fabric, group_name, pair_drives, rails
from .cascade_dynamics import SLOW_INPUTS, CascadeDynamics
from .cascade_parts import FactoredParts
from .cascade_stability import grows


class Factored(Fabric):
    """The cascade of arrays."""

    name = "factored"
    title = "cascade of resistor arrays (J, H, J^T)"
    parts_type = FactoredParts
    symmetric, active, takes_factors = False, True, True
    has_dies = has_device_model = has_linear_law = can_calibrate = True
    slow_inputs = SLOW_INPUTS
    outputs = 2

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """A matrix alone has no factors."""
        return None, (
            "it is given as one matrix and not by its factors; use compile_system(LowRank(...)) or Kronecker, or an .npz with J, H, damping"
        )

    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[FactoredParts, float]:
        """See `place_factors`."""
        raise UnrealisableError(f"fabric factored cannot realise a matrix: {self.scaling(scaled)[1]}")

    def place_factors(
        self,
        factors: tuple[sparse.csr_array, ...],
        damping: float,
        scaling: np.ndarray,
        technology: Technology,
        sides: tuple[int, ...] = (),
    ) -> tuple[FactoredParts, float]:
        """See `Fabric.place_factors`: (D F_1) F_2 ... (F_T D) + damping D^2.

        The largest entry of each factor becomes one unit resistor. Feedback resistors are set so that no stage amplifies: the
        spectral norm of each is one, and a stage's output stays within its input's Euclidean norm. Capacitors in proportion to d_i^2 keep
        the path of the unscaled problem.
        """
        largest, n = 1.0 / technology.resistors.unit, len(scaling)
        outer = [_rows_scaled(factors[0], scaling), *factors[1:]]
        outer[-1] = _columns_scaled(outer[-1], scaling)
        arrays, feedback, unit = [], [], 1.0
        for stage, factor in enumerate(reversed(outer)):
            share = largest / float(abs(factor).max())
            array = sparse.csr_array(share * factor)
            unit *= share
            arrays.append(array)
            if stage < len(factors) - 1:
                norm = float(preferred_conductance(_spectral_norm(array), technology.resistors.series))
                feedback.append(np.full(array.shape[0], norm))
                unit /= norm
        drive = float(preferred_conductance(largest, technology.resistors.series))
        parts = FactoredParts(
            arrays=tuple(arrays),
            feedback=tuple(feedback),
            damping=unit * damping * scaling**2,
            drive=np.full(n, drive),
            capacitance=technology.capacitors.unit * scaling**2,
            drive_nominal=drive,
            sides=np.array(sides, dtype=np.int64),
        )
        return parts, unit

    def resistor_count(self, factors: tuple[sparse.csr_array, ...]) -> int:
        """Resistors of arrays, feedback, damping and inputs."""
        n = factors[0].shape[0]
        feedback = sum(factor.shape[0] for factor in factors[1:])
        return sum(int(factor.nnz) for factor in factors) + feedback + 2 * n

    def settling(self, parts: FactoredParts, smallest: float, unit: float, technology: Technology) -> float:
        """1 / Re of the slowest pole of the loop."""
        return -1.0 / float(self._poles(parts, technology).real.max())

    def realised(self, parts: FactoredParts, technology: Technology) -> np.ndarray:
        """The product of the arrays and gains, with what a finite gain takes."""
        return self._static(parts, 1.0 / technology.opamp.gain)

    def is_stable(self, parts: FactoredParts, technology: Technology) -> bool:
        """Whether all poles of the loop decay, the summing stages' and the integrators' bandwidth included."""
        return bool(self._poles(parts, technology).real.max() < 0)

    def grows(self, parts: FactoredParts, technology: Technology) -> bool:
        """By the law of each rail, with a second pole of the amplifiers (`cascade_stability`)."""
        return grows(CascadeDynamics.of(parts, technology))

    def at_rest(self, parts: FactoredParts, technology: Technology) -> AtRest:
        """See `Fabric.at_rest`."""
        return CascadeDynamics.of(parts, technology).at_rest

    def noise(self, parts: FactoredParts, technology: Technology) -> Callable[[float], CellNoise]:
        """Resistors' and amplifiers', white and 1/f; that of a stage goes into all cells behind it."""
        return CascadeDynamics.of(parts, technology).noise

    def linear_law(self, parts: FactoredParts, technology: Technology) -> LinearLaw:
        """See `Fabric.linear_law` and `CascadeDynamics.linear_law`."""
        return CascadeDynamics.of(parts, technology).linear_law()

    def _poles(self, parts: FactoredParts, technology: Technology) -> np.ndarray:
        """Natural frequencies of the whole loop, 1/s."""
        error, bandwidth = 1.0 / technology.opamp.gain, 2 * math.pi * technology.opamp.gbw
        if math.isinf(bandwidth):
            static = self._static(parts, error)
            return -np.linalg.eigvals(static / parts.capacitance[:, None])
        n, last = parts.size, parts.arrays[-1]
        load = _row_sums(last) + parts.damping + parts.drive
        sizes = [n, n, *(len(feedback) for feedback in parts.feedback)]
        starts = np.cumsum([0, *sizes])
        flow = np.zeros((starts[-1], starts[-1]))  # d/dt of (v, v', w_1, ..., w_T-1)
        flow[:n, n : 2 * n] = np.eye(n)
        effective = parts.capacitance / bandwidth
        flow[n : 2 * n, :n] = -np.diag((parts.damping + error * load) / effective)
        flow[n : 2 * n, n : 2 * n] = -np.diag((parts.capacitance * (1 + error) + load / bandwidth) / effective)
        flow[n : 2 * n, starts[-2] :] = -last.toarray() / effective[:, None]
        for t, (array, feedback) in enumerate(zip(parts.arrays[:-1], parts.feedback, strict=True)):
            here = slice(starts[t + 2], starts[t + 3])
            before = slice(0, n) if t == 0 else slice(starts[t + 1], starts[t + 2])
            lag = (_row_sums(array) + feedback) / bandwidth
            flow[here, before] = array.toarray() / lag[:, None]
            flow[here, here] = -np.diag((feedback + error * lag * bandwidth) / lag)
        return np.linalg.eigvals(flow)

    def admittance(self, parts: FactoredParts, technology: Technology, s: complex) -> np.ndarray:
        """Y(s) of the law in the module's docstring."""
        opamp = technology.opamp
        error = 1.0 / min(opamp.gain, IDEAL_GAIN) + s / (2 * math.pi * opamp.gbw)
        return self._static(parts, error) + np.diag(s * parts.capacitance * (1 + error))

    @staticmethod
    def _static(parts: FactoredParts, error: complex) -> np.ndarray:
        passed: np.ndarray = np.eye(parts.size)
        for array, feedback in zip(parts.arrays, (*parts.feedback, None), strict=True):
            passed = array @ passed
            if feedback is not None:
                passed = passed / (feedback + error * (_row_sums(array) + feedback))[:, None]
        load = _row_sums(parts.arrays[-1]) + parts.damping + parts.drive
        return passed + np.diag(parts.damping + error * load)

    def drive(self, parts: FactoredParts) -> np.ndarray:
        """Input resistors against the host's idea of them."""
        return parts.drive / parts.drive_nominal

    def drives(self, parts: FactoredParts) -> list[dict[str, float]]:
        """Voltage sources before the input resistors."""
        return pair_drives("VB", parts.size, 1.0 / parts.drive_nominal, 2)

    def lower(
        self,
        netlist: Netlist,
        parts: FactoredParts,
        technology: Technology,
        currents: np.ndarray,
        state: np.ndarray,
        amplifier: AmplifierCell | None = None,
    ) -> None:
        """Stage by stage, then the integrators. Stage t has outputs u<t>p<r>, u<t>m<r> and inputs g<t>p<r>, g<t>m<r>."""
        cell, count = amplifier or OnePole(technology.opamp), len(parts.arrays)
        values = parts.by_rail()
        kelvin = parts.temperatures or [np.full_like(kind, technology.thermal.ambient) for kind in parts.kinds()[:-1]]
        outputs = [rails(i) for i in range(parts.size)]
        signal = state
        for t, (array, feedback) in enumerate(zip(parts.arrays[:-1], parts.feedback, strict=True), start=1):
            signal = (array @ signal) / feedback
            fresh = [(f"u{t}p{r + 1}", f"u{t}m{r + 1}") for r in range(array.shape[0])]
            own, warmth, offset = values[count + t - 1], kelvin[count + t - 1], parts.stage_offset(t - 1)
            for r, row in enumerate(_rows(array, values[t - 1], kelvin[t - 1])):
                k, group = r + 1, f"stage{t}row{r + 1}"
                inputs = (f"g{t}p{k}", f"g{t}m{k}")
                for j, positive, pair, warm in row:
                    for rail in range(2):
                        # A positive entry goes to the input that lifts the like output.
                        end = inputs[1 - rail if positive else rail]
                        if pair[rail] > 0:
                            name = f"R{t}_{k}_{j + 1}{'pm'[rail]}"
                            netlist.add(Resistor(name, outputs[j][rail], end, 1.0 / pair[rail], warm), group=group)
                for rail in range(2):
                    # Each output feeds back to the input that lowers it, where the opposite rail's signal comes in.
                    name, ends = f"RF{t}_{k}{'pm'[rail]}", (fresh[r][rail], inputs[rail])
                    netlist.add(Resistor(name, *ends, 1.0 / float(own[rail, r]), float(warmth[r])), group=group)
                start = float(signal[r])
                cell.add(netlist, (inputs[1], inputs[0]), fresh[r], f"S{t}_{k}", float(offset[r]), start, group)
            outputs = fresh
        self._lower_cells(netlist, parts, technology, outputs, (currents, state), cell)

    def _lower_cells(
        self,
        netlist: Netlist,
        parts: FactoredParts,
        technology: Technology,
        outputs: list[tuple[str, str]],
        driven: tuple[np.ndarray, np.ndarray],
        cell: AmplifierCell,
    ) -> None:
        """The integrators, behind these outputs, with drive currents and voltages at the start."""
        gain, (currents, state), count = min(technology.opamp.gain, IDEAL_GAIN), driven, len(parts.arrays)
        values = parts.by_rail()
        damping, drive, capacitance = values[-3:]
        kelvin = parts.temperatures or [np.full_like(kind, technology.thermal.ambient) for kind in parts.kinds()[:-1]]
        for i, row in enumerate(_rows(parts.arrays[-1], values[count - 1], kelvin[count - 1])):
            k, group, offset = i + 1, group_name(i), float(parts.offset[i])
            for rail in range(2):
                summing = f"e{'pm'[rail]}{k}"
                for j, positive, pair, warm in row:
                    if pair[rail] > 0:
                        source = outputs[j][rail if positive else 1 - rail]
                        name = f"R{count}_{k}_{j + 1}{'pm'[rail]}"
                        netlist.add(Resistor(name, source, summing, 1.0 / pair[rail], warm), group=group)
                if damping[rail, i] > 0:
                    ohm, name = 1.0 / float(damping[rail, i]), f"RL{k}{'pm'[rail]}"
                    netlist.add(Resistor(name, rails(i)[rail], summing, ohm, float(kelvin[-2][i])), group=group)
                sign, volts = (0.5, -0.5)[rail], float(currents[i]) / parts.drive_nominal
                # The capacitor sees the output less the amplifier's own input voltage.
                suffix, start = f"{k}{'pm'[rail]}", sign * (float(state[i]) * (1.0 + 1.0 / gain) - offset)
                ohm, warm = 1.0 / float(drive[rail, i]), float(kelvin[-1][i])
                netlist.add(
                    VoltageSource(f"VB{suffix}", f"b{'pm'[rail]}{k}", "0", sign * volts, ac=sign),
                    Resistor(f"RB{suffix}", f"b{'mp'[rail]}{k}", summing, ohm, warm),
                    Capacitor(f"C{suffix}", rails(i)[rail], summing, float(capacitance[rail, i]), initial=start),
                    group=group,
                )
            cell.add(netlist, (f"em{k}", f"ep{k}"), rails(i), str(k), offset, float(state[i]), group)


def _rows(
    array: sparse.csr_array, values: np.ndarray, kelvin: np.ndarray
) -> Iterator[list[tuple[int, bool, tuple[float, float], float]]]:
    """Row by row (column, whether it is positive, conductances of the rails, temperature) of the entries that are there."""
    columns, signs = array.indices.tolist(), array.data.tolist()
    pairs, warm = list(zip(*values.tolist(), strict=True)), kelvin.tolist()
    for start, end in zip(array.indptr[:-1].tolist(), array.indptr[1:].tolist(), strict=True):
        places = sorted((k for k in range(start, end) if signs[k]), key=columns.__getitem__)
        yield [(columns[k], signs[k] > 0, pairs[k], warm[k]) for k in places]


def _rows_scaled(array: sparse.csr_array, scaling: np.ndarray) -> sparse.csr_array:
    scaled = array.copy()
    scaled.data = scaled.data * np.repeat(scaling, np.diff(array.indptr))
    return scaled


def _columns_scaled(array: sparse.csr_array, scaling: np.ndarray) -> sparse.csr_array:
    scaled = array.copy()
    scaled.data = scaled.data * scaling[array.indices]
    return scaled


def _row_sums(array: sparse.csr_array) -> np.ndarray:
    return np.asarray(abs(array).sum(axis=1)).ravel()


def _spectral_norm(array: sparse.csr_array) -> float:
    """Largest singular value; by its Gram matrix on the shorter side."""
    wide = array if array.shape[0] <= array.shape[1] else array.T
    gram = (wide @ wide.T).toarray()
    return float(np.sqrt(np.linalg.eigvalsh(gram)[-1]))
