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

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse

from ...circuits.amplifiers.models import IDEAL_GAIN, AmplifierCell, OnePole
from ...circuits.errors import UnrealisableError
from ...circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.die import Die
from ...circuits.technology.e_series import preferred_conductance
from ...circuits.technology.technology import Technology
from ..matrices import Matrix
from ..parts import Parts
from ..symbolic_law import Expr, Line, SymbolicLaw, Term
from .base import Fabric, group_name, pair_drives, rails


@dataclass(frozen=True)
class FactoredParts(Parts):
    """Component values of a cascade of T arrays before n integrators; both rails alike.

    Attributes:
        arrays: T sparse matrices of signed conductances, S, in the order in which the signal passes them; the last has n rows.
        feedback: T - 1 vectors of conductances across the summing amplifiers, S.
        damping, drive, capacitance: (n,) S, S, F of each cell.
        drive_nominal: conductance that the host assumes for every input resistor, S.
    """

    arrays: tuple[sparse.csr_array, ...]
    feedback: tuple[np.ndarray, ...]
    damping: np.ndarray
    drive: np.ndarray
    capacitance: np.ndarray
    drive_nominal: float = dataclasses.field()

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return len(self.damping)

    @property
    def rails(self) -> int:
        """Number of rails, 2."""
        return 2

    def with_drive(self, conductance: float, die: Die | None = None, mismatch: float | None = None) -> FactoredParts:
        """See `Parts.with_drive`; nominal parts alone."""
        return dataclasses.replace(self, drive=np.full_like(self.drive, conductance), drive_nominal=conductance)

    @property
    def symbolic_size(self) -> int:
        """Number of cells, or rows of the largest array."""
        return max(self.size, *(array.shape[0] for array in self.arrays))

    def stages(self) -> list[np.ndarray]:
        """For each summing stage the matrix from cells' voltages to its outputs."""
        found: list[np.ndarray] = []
        passed: np.ndarray = np.eye(self.size)
        for array, feedback in zip(self.arrays[:-1], self.feedback, strict=True):
            passed = (array @ passed) / feedback[:, None]
            found.append(passed)
        return found

    def amplifier_loads(self) -> list[tuple[np.ndarray | None, np.ndarray]]:
        """Columns of the array after each output, with the damping of a cell or the feedback of a stage."""
        columns = [np.asarray(abs(array).sum(axis=0)).ravel() for array in self.arrays]
        own = (self.damping, *self.feedback)
        return [
            (stage, column + added) for stage, column, added in zip((None, *self.stages()), columns, own, strict=True)
        ]

    def map_conductances(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The arrays' resistors, then damping; feedback and input resistors are placed at values that can be had."""
        arrays = []
        for array in self.arrays:
            changed = array.copy()
            changed.data = np.sign(array.data) * change(np.abs(array.data))
            changed.eliminate_zeros()
            arrays.append(changed)
        return dataclasses.replace(self, arrays=tuple(arrays), damping=change(self.damping))

    def rounding_bound(self, wanted: Matrix, ratio: float, step: float) -> Any:
        """|product of arrays that are each as far off as rounding takes them| less the product itself, entry by entry."""
        exact, wide = np.eye(self.size), np.eye(self.size)
        for array, feedback in zip(self.arrays, (*self.feedback, None), strict=True):
            entries = np.abs(array.toarray())
            gain = 1.0 if feedback is None else 1.0 / feedback[:, None]
            exact, wide = gain * (entries @ exact), gain * ((entries * (1 + ratio) + step) @ wide)
        return wide - exact + np.diag(self.damping * ratio + step)

    def capacitances(self) -> np.ndarray:
        """Capacitances of the integrators."""
        return self.capacitance

    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        """Two of everything but amplifiers."""
        single = [*(np.abs(array.data) for array in self.arrays), *self.feedback, self.damping, self.drive]
        present = np.concatenate(single)
        yield "resistor", np.repeat(1.0 / present[present > 0], 2)
        yield "capacitor", np.repeat(self.capacitance, 2)
        yield "amplifier", np.ones(self.size + sum(len(feedback) for feedback in self.feedback))

    def code_count(self) -> int:
        """One value per entry of each factor."""
        return sum(int(np.prod(array.shape)) for array in self.arrays)

    def dissipation_bound(self, volts: float, drive_volts: float) -> float:
        """Resistors span an output, at half of its voltage, and a virtual ground."""
        arrays = sum(float(abs(array).sum()) for array in self.arrays) + sum(float(f.sum()) for f in self.feedback)
        held = 2 * (arrays + float(self.damping.sum())) * (volts / 2) ** 2
        return held + 2 * float(self.drive.sum()) * (drive_volts / 2) ** 2

    def write_law(self, law: SymbolicLaw) -> None:
        """The law of the module's docstring: w_t = [g_t + eps (L_t + g_t)]^-1 G_t w_(t-1) for the arrays but the last."""
        law.amplifier_error()
        states = law.volts
        rows: list[tuple[list[Term], list[Expr]]] = []
        for t, array in enumerate(self.arrays, start=1):
            rows, outputs = [], []
            for r, row in enumerate(array.toarray().tolist(), start=1):
                y = {j: 1 / law.part("R", (r, j + 1), 1.0 / abs(g), stage=t) for j, g in enumerate(row) if g}
                terms = [Term(x if row[j] > 0 else -x, (), states[j]) for j, x in y.items()]
                rows.append((terms, list(y.values())))
                if t < len(self.arrays):
                    outputs.append(self._write_stage(law, t, r, terms, list(y.values())))
            states = outputs
        for i, (coupled, conductances) in enumerate(rows):
            drive = (float(self.drive[i]), self.drive_nominal)
            law.integrator(i, coupled, conductances, float(self.capacitance[i]), drive, 2, float(self.damping[i]))

    def _write_stage(self, law: SymbolicLaw, t: int, r: int, terms: list[Term], conductances: list[Expr]) -> Expr:
        """Row r of summing stage t, both from 1; returns its output."""
        back = 1 / law.part("RF", (r,), 1.0 / float(self.feedback[t - 1][r - 1]), stage=t)
        output = law.symbol(f"w{t}_{r}", f"w^{{({t})}}_{{{r}}}")
        left = (Term(back, (), output), Term(law.eps, ((*conductances, back),), output))
        law.definitions.append(Line(left, tuple(terms)))
        law.amplifier(f"S{t}_{r}", 2)
        return output


class Factored(Fabric):
    """The cascade of arrays."""

    name = "factored"
    title = "cascade of resistor arrays (J, H, J^T)"
    parts_type = FactoredParts
    symmetric, active, takes_factors = False, True, True
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
        self, factors: tuple[sparse.csr_array, ...], damping: float, scaling: np.ndarray, technology: Technology
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
        kelvin, cell = technology.thermal.ambient, amplifier or OnePole(technology.opamp)
        outputs = [rails(i) for i in range(parts.size)]
        signal = state
        for t, (array, feedback) in enumerate(zip(parts.arrays[:-1], parts.feedback, strict=True), start=1):
            signal = (array @ signal) / feedback
            fresh = [(f"u{t}p{r + 1}", f"u{t}m{r + 1}") for r in range(array.shape[0])]
            for r, row in enumerate(_rows(array)):
                k, group = r + 1, f"stage{t}row{r + 1}"
                inputs = (f"g{t}p{k}", f"g{t}m{k}")
                for j, value in row:
                    for rail in range(2):
                        # A positive entry goes to the input that lifts the like output.
                        end = inputs[1 - rail if value > 0 else rail]
                        name = f"R{t}_{k}_{j + 1}{'pm'[rail]}"
                        netlist.add(Resistor(name, outputs[j][rail], end, 1.0 / abs(value), kelvin), group=group)
                for rail in range(2):
                    # Each output feeds back to the input that lowers it, where the opposite rail's signal comes in.
                    ends = (fresh[r][rail], inputs[rail])
                    netlist.add(
                        Resistor(f"RF{t}_{k}{'pm'[rail]}", *ends, 1.0 / float(feedback[r]), kelvin), group=group
                    )
                cell.add(netlist, (inputs[1], inputs[0]), fresh[r], f"S{t}_{k}", state=float(signal[r]), group=group)
            outputs = fresh
        gain = min(technology.opamp.gain, IDEAL_GAIN)
        for i, row in enumerate(_rows(parts.arrays[-1])):
            k, group = i + 1, group_name(i)
            for rail in range(2):
                summing = f"e{'pm'[rail]}{k}"
                for j, value in row:
                    source = outputs[j][rail if value > 0 else 1 - rail]
                    name = f"R{len(parts.arrays)}_{k}_{j + 1}{'pm'[rail]}"
                    netlist.add(Resistor(name, source, summing, 1.0 / abs(value), kelvin), group=group)
                if parts.damping[i] > 0:
                    damper = Resistor(
                        f"RL{k}{'pm'[rail]}", rails(i)[rail], summing, 1.0 / float(parts.damping[i]), kelvin
                    )
                    netlist.add(damper, group=group)
                sign, volts = (0.5, -0.5)[rail], float(currents[i]) / parts.drive_nominal
                suffix, start = f"{k}{'pm'[rail]}", sign * float(state[i]) * (1.0 + 1.0 / gain)
                netlist.add(
                    VoltageSource(f"VB{suffix}", f"b{'pm'[rail]}{k}", "0", sign * volts, ac=sign),
                    Resistor(f"RB{suffix}", f"b{'mp'[rail]}{k}", summing, 1.0 / float(parts.drive[i]), kelvin),
                    Capacitor(f"C{suffix}", rails(i)[rail], summing, float(parts.capacitance[i]), initial=start),
                    group=group,
                )
            cell.add(netlist, (f"em{k}", f"ep{k}"), rails(i), str(k), state=float(state[i]), group=group)


def _rows(array: sparse.csr_array) -> Iterator[list[tuple[int, float]]]:
    """(column, value) of the non-zero entries, row by row."""
    for start, end in zip(array.indptr[:-1], array.indptr[1:], strict=True):
        pairs = zip(array.indices[start:end].tolist(), array.data[start:end].tolist(), strict=True)
        yield sorted((j, value) for j, value in pairs if value)


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
