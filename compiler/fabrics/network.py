"""`Network`: what the passive fabrics are made of, one two-terminal part for each coupling and one leg from each cell to ground.

The same record serves resistors (`rc`), inductors (`lc`) and capacitors (`spu`): a symmetric matrix S = D A D with non-negative row
sums of its comparison matrix is the matrix of a network whose branch between i and j has the weight |S_ij| (a conductance, an
inverse inductance, a capacitance) and whose leg to ground has what is left of the diagonal, S_ii - sum_j |S_ij|.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ...circuits.technology.die import Die
from ..matrices import Matrix, diagonal, upper_entries


@dataclass(frozen=True)
class Network:
    """Component values of n cells and m couplings; the first axis counts rails (1, or 2 for a dual-rail network).

    Attributes:
        first, second: (m,) the cells that a coupling joins, first < second.
        polarity: (m,) -1 where it joins like rails (A_ij < 0), +1 where it crosses them.
        coupling: (rails, m) weights of the couplings.
        ground: (rails, n) weights of the legs; 0 is an absent leg.
        storage: (rails, n) F, or H in the `spu` fabric: the part that holds the state together with the couplings.
        shunt: (rails, n) S to ground, the damping of oscillators; 0 where there is none.
        coupling_temperature: (m,) K. ground_temperature: (n,) K.
    """

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
        """1 or 2."""
        return len(self.ground)

    @property
    def drive_nominal(self) -> float:
        """0: a network is driven by currents."""
        return 0.0

    @property
    def offset(self) -> np.ndarray:
        """(n,) zeros: there is no amplifier."""
        return np.zeros(self.size)

    def matrix(self, coupling: np.ndarray | None = None, ground: np.ndarray | None = None) -> sparse.csr_array:
        """The matrix that the branches make for the differential (or only) voltages, (n, n); weights averaged over rails."""
        weight = self.coupling.mean(axis=0) if coupling is None else coupling
        leg = self.ground.mean(axis=0) if ground is None else ground
        n = self.size
        sums = leg + np.bincount(self.first, weight, n) + np.bincount(self.second, weight, n)
        off = self.polarity * weight
        rows = np.concatenate([self.first, self.second, np.arange(n)])
        columns = np.concatenate([self.second, self.first, np.arange(n)])
        return sparse.csr_array(sparse.coo_array((np.concatenate([off, off, sums]), (rows, columns)), shape=(n, n)))

    def on(
        self,
        die: Die,
        symmetric: bool,
        mismatch: float | None = None,
        capacitor_mismatch: float | None = None,
        offset: float | None = None,
    ) -> Network:
        """This network of resistors as that die has it; see `Parts.on`. Every capacitor is beside its leg."""
        technology, n, rails = die.technology, self.size, self.rails
        sigma = technology.resistors.mismatch if mismatch is None else mismatch
        sigma_c = technology.capacitors.mismatch if capacitor_mismatch is None else capacitor_mismatch
        place = (np.arange(n) + 0.5) / n
        branch = place[self.first], place[self.second]
        hot, legs = die.temperature_of(*branch), die.temperature_of(place, place)
        shift, shift_legs = die.resistor_shift(*branch), die.resistor_shift(place, place)
        deviate = np.array([die.deviates_at("coupling", rail, self.first, self.second) for rail in range(rails)])
        return dataclasses.replace(
            self,
            coupling=self.coupling * np.exp(-sigma * deviate - shift) / die.drift(hot),
            ground=self.ground * np.exp(-sigma * die.deviates("ground", (rails, n)) - shift_legs) / die.drift(legs),
            storage=self.storage
            * np.exp(sigma_c * die.deviates("capacitor", (rails, n)) + die.capacitor_shift(place, place)),
            coupling_temperature=hot,
            ground_temperature=legs,
        )


def branches(scaled: Matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """first, second, polarity, weights (m,) and legs (n,) of D A D; legs that are rounding of zero are zero."""
    first, second, values = upper_entries(scaled)
    weights, n = np.abs(values), scaled.shape[0]
    own = diagonal(scaled)
    legs = np.maximum(own - np.bincount(first, weights, n) - np.bincount(second, weights, n), 0.0)
    legs[legs < 1e-13 * own] = 0.0
    return first, second, np.sign(values).astype(np.int8), weights, legs
