"""`Inverters`: what the inverters of a single-ended array add to the law of its cells.

Inverter j has an input and a feedback conductance g and g', r = g / g', and an amplifier with the error eps(s) = 1 / A(s) and the offset
Vos_j. Cell i draws k_ij n_j from its output, and obeys (`fabrics.crossbar`)

    n_j = [-r_j v_j + (1 + r_j) Vos_j + noise] / [1 + (1 + r_j) eps],      [s C (1 + eps) + eps L + K_pos] v + k n = I + L Vos + noise.

With A(s) = 1 / (leak + s first + s^2 second) the inverter's gain is, up to s^2,

    r / [1 + (1 + r) eps] = h_0 + h_1 s + h_2 s^2,     h_0 = r / d,  h_1 = -h_0 a,  h_2 = h_0 (a^2 - b),

    d = 1 + (1 + r) leak,     a = (1 + r) first / d,     b = (1 + r) second / d.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.constants import Boltzmann


@dataclass(frozen=True, eq=False)
class Inverters:
    """One for each column; where none is, the column of `coupling` is zero.

    Attributes:
        coupling: k, (n, n) S: conductances >= 0 from inverters' outputs to the cells' summing nodes.
        ratio: r, (n,), what an ideal amplifier makes the gain's magnitude.
        offset: Vos, (n,) V.
        noise: (n,) two-sided density of the Johnson noise at the output with an ideal amplifier, V^2/Hz.
    """

    coupling: np.ndarray
    ratio: np.ndarray
    offset: np.ndarray
    noise: np.ndarray

    @classmethod
    def of_resistors(
        cls, coupling: np.ndarray, resistors: np.ndarray, temperature: np.ndarray, offset: np.ndarray
    ) -> Inverters:
        """From input and feedback conductances (2, n) S at temperatures (n,) K."""
        given, back = resistors
        return cls(coupling, given / back, offset, johnson_noise(given, back, temperature))

    def lost(self, leak: float) -> np.ndarray:
        """(n, n) S: what a finite gain 1 / leak adds to the matrix, k_ij (r_j - h_0)."""
        return np.asarray(self.coupling * (self.ratio - gain_series(self.ratio, leak, 0.0, 0.0)[0]))

    def volts(self, cells: np.ndarray, leak: float) -> np.ndarray:
        """Outputs n at rest, (n,) V, for cells at voltages (n,) V."""
        noise_gain = 1 + self.ratio
        return np.asarray((noise_gain * self.offset - self.ratio * cells) / (1 + noise_gain * leak))

    def offset_currents(self, leak: float) -> np.ndarray:
        """(n,) A into the cells, which are to be added to L Vos."""
        return np.asarray(-(self.coupling @ self.volts(np.zeros_like(self.offset), leak)))

    def current_noise(self, leak: float) -> np.ndarray:
        """(n, n) two-sided density of what cells get of the noise at low frequencies, A^2/Hz; it is correlated between cells."""
        return self._into_cells(self.noise / (1 + (1 + self.ratio) * leak) ** 2)

    def unfollowed_noise(self, leak: float, first: float, second: float) -> np.ndarray:
        """(n, n) A^2/Hz s: the same times `unfollowed` of each inverter."""
        missing = unfollowed(self.ratio, leak, first, second)
        return self._into_cells(self.noise / (1 + (1 + self.ratio) * leak) ** 2 * missing)

    def _into_cells(self, density: np.ndarray) -> np.ndarray:
        return np.asarray((self.coupling * density) @ self.coupling.T)


def johnson_noise(given: Any, back: Any, temperature: Any) -> Any:
    """2 k T (g + g') / g'^2, V^2/Hz, two-sided: both resistors' current through the feedback conductance."""
    return 2 * Boltzmann * temperature * (given + back) / back**2


def gain_series(ratio: Any, leak: Any, first: Any, second: Any) -> tuple[Any, Any, Any]:
    """h_0, h_1 (s) and h_2 (s^2), for arrays or tensors."""
    static = 1 + (1 + ratio) * leak
    slow, fast = (1 + ratio) * first / static, (1 + ratio) * second / static
    gain = ratio / static
    return gain, -gain * slow, gain * (slow * slow - fast)


def unfollowed(ratio: Any, leak: Any, first: Any, second: Any) -> Any:
    """(n,) s: how much less noise cells hold of inverters than if these passed on all frequencies.

    White noise of density S at an inverter's output leaves the voltage variance S / (2 K M) less E S / M^2 on a cell whose amplifier has
    the same error eps,

        E = 1 / (2 pi) integral (1 - |H|^2) / |w (1 + i w first - w^2 second)|^2 dw,      H = 1 / (1 + i w a - w^2 b),

    by the table of such integrals of H. M. James, N. B. Nichols, R. S. Phillips, Theory of Servomechanisms (1947), in closed form;
    without a second pole it is a^2 / [2 (first + a)].
    """
    static = 1 + (1 + ratio) * leak
    relative = (1 + ratio) / static
    a, b = relative * first, relative * second
    # (1 + first s + second s^2) (1 + a s + b s^2), its highest two coefficients over `second`.
    c1, c2 = first + a, second + b + first * a
    c3, c4 = first * relative + a, second * relative
    low, high = a * a - 2 * b, b * relative
    numerator = high * second * c3 + low * (c2 * c3 - c1 * c4)
    denominator = 2 * (c1 * c2 * c3 - second * c3 * c3 - c1 * c1 * c4)
    return numerator / (denominator + (denominator == 0))
