"""`Network`: what passive fabrics are made of, one two-terminal part for each coupling and one from each cell to ground.

The same record serves resistors (`rc`), inductors (`lc`) and capacitors (`spu`): a symmetric matrix S = D A D with non-negative row
sums of its comparison matrix is the matrix of a network whose branch between i and j has the weight |S_ij| (a conductance, an
inverse inductance, a capacitance) and whose part to ground has what is left of the diagonal, S_ii - sum_j |S_ij|.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from ...circuits.technology.die import Die
from ...circuits.technology.technology import Technology
from ..h_matrix import passive_scaling
from ..matrices import Matrix, diagonal, upper_entries
from ..parts import Dissipation, Kind, Parts, Place
from ..perturbation import Effect, Perturbation


@dataclass(frozen=True)
class Network(Parts):
    """Component values of n cells and m couplings; the first axis counts rails (1, or 2 for a dual-rail network).

    Attributes:
        first, second: (m,) the cells that a coupling joins, first < second.
        polarity: (m,) -1 where it joins like rails (A_ij < 0), +1 where it crosses them.
        coupling: (rails, m) weights of the couplings.
        ground: (rails, n) weights to ground; 0 is an absent part.
        storage: (rails, n) F, or H in the `spu` fabric: the part that holds the state together with the couplings.
        shunt: (rails, n) S to ground, the damping of oscillators; 0 where there is none.
        coupling_temperature: (m,) K. ground_temperature: (n,) K, of all parts of a cell.
    """

    storage_kind: ClassVar[Kind] = "capacitor"
    """What the storage is made of."""

    first: np.ndarray
    second: np.ndarray
    polarity: np.ndarray
    coupling: np.ndarray
    ground: np.ndarray
    storage: np.ndarray
    shunt: np.ndarray
    coupling_temperature: np.ndarray
    ground_temperature: np.ndarray

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return self.ground.shape[1]

    @property
    def rails(self) -> int:
        """Number of rails, 1 or 2."""
        return len(self.ground)

    def matrix(self, coupling: np.ndarray | None = None, ground: np.ndarray | None = None) -> sparse.csr_array:
        """The matrix that the branches make for the differential (or only) voltages, (n, n); weights averaged over rails."""
        weight = self.coupling.mean(axis=0) if coupling is None else coupling
        to_ground = self.ground.mean(axis=0) if ground is None else ground
        n = self.size
        sums = to_ground + np.bincount(self.first, weight, n) + np.bincount(self.second, weight, n)
        off = self.polarity * weight
        rows = np.concatenate([self.first, self.second, np.arange(n)])
        columns = np.concatenate([self.second, self.first, np.arange(n)])
        return sparse.csr_array(sparse.coo_array((np.concatenate([off, off, sums]), (rows, columns)), shape=(n, n)))

    def node_matrix(self) -> np.ndarray:
        """The matrix that the branches make for the voltages of all nodes, (rails n, rails n), the first rail's nodes before the second's;
        each branch with its own weight."""
        n, rails, count = self.size, self.rails, len(self.first)
        rail = np.repeat(np.arange(rails), count)
        to = np.where(np.tile(self.polarity, rails) < 0, rail, 1 - rail)
        a, b = n * rail + np.tile(self.first, rails), n * to + np.tile(self.second, rails)
        weight, found = self.coupling.ravel(), np.diag(self.ground.ravel())
        for rows, columns, values in ((a, a, weight), (b, b, weight), (a, b, -weight), (b, a, -weight)):
            np.add.at(found, (rows, columns), values)
        return found

    def map_conductances(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """Coils and capacitors are not rounded, nor are the resistors that damp them."""
        return self

    def rounding_bound(self, wanted: Matrix, ratio: float, step: float) -> Any:
        """0, since nothing is rounded."""
        return 0.0

    def rail_values(self) -> Iterator[tuple[str, np.ndarray]]:
        """Couplings, parts to ground and the others, by name."""
        for name in ("coupling", "ground", "storage", "shunt"):
            yield name, getattr(self, name)

    def code_count(self) -> int:
        """One value per part."""
        return int(np.count_nonzero(self.coupling[0])) + int(np.count_nonzero(self.ground[0]))

    def coupling_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Places in row i and column j, i < j."""
        place = (np.arange(self.size) + 0.5) / self.size
        return place[self.first], place[self.second]

    def aged(self, die: Die, left: Callable[[np.ndarray], np.ndarray]) -> Self:
        """See `Parts.aged`. Coils and capacitors are not programmed."""
        return self

    def change_programmed(self, change: Callable[[np.ndarray, Place], np.ndarray]) -> Self:
        """See `Parts.change_programmed`. Coils and capacitors are not programmed."""
        return self

    def on_die(
        self,
        die: Die,
        mismatch: float | None = None,
        capacitor_mismatch: float | None = None,
        offset: float | None = None,
        inductor_mismatch: float | None = None,
    ) -> Self:
        """See `Parts.on_die`. Storage and damping of a cell are beside its part to ground."""
        technology, n, rails = die.technology, self.size, self.rails
        place, branch = (np.arange(n) + 0.5) / n, self.coupling_places()
        temperature, ground_temperature = die.temperature_of(*branch), die.temperature_of(place, place)
        sigmas: dict[Kind, float] = {
            "resistor": technology.resistors.mismatch if mismatch is None else mismatch,
            "capacitor": technology.capacitors.mismatch if capacitor_mismatch is None else capacitor_mismatch,
            "inductor": technology.inductors.mismatch if inductor_mismatch is None else inductor_mismatch,
        }
        shifts = {"resistor": die.resistor_shift, "capacitor": die.capacitor_shift, "inductor": die.inductor_shift}

        def change(kind: Kind, deviate: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
            """ln(value / nominal) of parts at one temperature."""
            return np.asarray(sigmas[kind] * deviate + shifts[kind](row, column))

        def weight(deviate: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
            """Factor of a conductance, an inverse inductance or a capacitance, at one temperature."""
            found = change(self.kind, deviate, row, column)
            return np.asarray(np.exp(found if self.kind == "capacitor" else -found))

        deviate = np.array([die.deviates_at("coupling", rail, self.first, self.second) for rail in range(rails)])
        coupling = self.coupling * weight(deviate, *branch)
        ground = self.ground * weight(die.deviates("ground", (rails, n)), place, place)
        if self.kind == "resistor":
            coupling = coupling / die.temperature_factor(temperature)
            ground = ground / die.temperature_factor(ground_temperature)
        damping = change("resistor", die.deviates("damping", (rails, n)), place, place)
        stored = change(self.storage_kind, die.deviates(self.storage_kind, (rails, n)), place, place)
        return dataclasses.replace(
            self,
            coupling=coupling,
            ground=ground,
            storage=self.storage * np.exp(stored),
            shunt=self.shunt * np.exp(-damping) / die.temperature_factor(ground_temperature),
            coupling_temperature=temperature,
            ground_temperature=ground_temperature,
        )

    def dissipation(self, volts: np.ndarray, currents: np.ndarray, gain: float) -> Dissipation:
        """None: at rest no resistor to ground has a voltage beside an inductor."""
        nothing = np.zeros_like(self.ground)
        return Dissipation(coupling=np.zeros_like(self.coupling), ground=nothing, drive=nothing)

    def effects(self, perturbation: Perturbation) -> Iterator[Effect]:
        """Couplings, then parts to ground."""
        letter = {"resistor": "R", "inductor": "L", "capacitor": "C"}[self.kind]
        i, j = self.first, self.second
        names = [f"{letter}{a + 1}_{c + 1}" for a, c in zip(i, j, strict=True)]
        yield Effect(names, self.coupling.mean(axis=0), perturbation.branch(i, j, self.polarity), "coupling")
        ground = self.ground.mean(axis=0)
        present = np.flatnonzero(ground)
        size = self._ground_effect(perturbation, present, ground[present])
        yield Effect([f"{letter}G{a + 1}" for a in present], ground[present], size, "ground")

    def _ground_effect(self, perturbation: Perturbation, cells: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """|dx| of the parts to ground of these cells, as `Perturbation` states it."""
        return perturbation.ground(cells)

    def branch_weights(self) -> dict[tuple[int, int], float]:
        """(i, j), i < j -> weight of the coupling on the first rail."""
        ends = zip(self.first.tolist(), self.second.tolist(), strict=True)
        return dict(zip(ends, self.coupling[0].tolist(), strict=True))


def branches(scaled: Matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """first, second, polarity, weights (m,) and weights to ground (n,) of D A D; what is rounding of zero is zero."""
    first, second, values = upper_entries(scaled)
    weights, n = np.abs(values), scaled.shape[0]
    own = diagonal(scaled)
    ground = np.maximum(own - np.bincount(first, weights, n) - np.bincount(second, weights, n), 0.0)
    ground[ground < 1e-13 * own] = 0.0
    return first, second, np.sign(values).astype(np.int8), weights, ground


def own_temperature(parts: Network, cell: int, technology: Technology) -> float | None:
    """Temperature of a cell's resistor to ground, K; None: the netlist's, which needs no mention."""
    kelvin = float(parts.ground_temperature[cell])
    return None if kelvin == technology.thermal.ambient else kelvin


def signed_scaling(matrix: Matrix) -> tuple[np.ndarray | None, str]:
    """As `Fabric.scaling`, for fabrics with one node a cell, whose branches can only make negative couplings."""
    rows, columns, values = upper_entries(matrix)
    wrong = np.flatnonzero(values > 0)
    if len(wrong):
        i, j, value = int(rows[wrong[0]]), int(columns[wrong[0]]), float(values[wrong[0]])
        return (
            None,
            f"entry [{i}, {j}] = {value:.4g} is positive, and {len(wrong)} such couplings would need a second rail",
        )
    return passive_scaling(matrix)
