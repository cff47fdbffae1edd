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
from typing import Any, TypeAlias

from scipy.constants import Boltzmann

Array: TypeAlias = Any
"""A numpy array, or a torch tensor with an axis of dies before the others: what follows is arithmetic that both have."""


@dataclass(frozen=True, eq=False)
class Inverters:
    """One for each column; where none is, the column of `coupling` is zero.

    Attributes:
        coupling: k, (n, n) S: conductances >= 0 from inverters' outputs to the cells' summing nodes.
        ratio: r, (n,), what an ideal amplifier makes the gain's magnitude.
        offset: Vos, (n,) V.
        noise: (n,) two-sided density of the Johnson noise at the output with an ideal amplifier, V^2/Hz.
        feedback: 1 / g', (n,) ohm: what makes an output of a current into the amplifier's input.
        gain, gbw: of their amplifiers over those of the leak and the lags that the methods take, (n,).
    """

    coupling: Array
    ratio: Array
    offset: Array
    noise: Array
    feedback: Array = 0.0
    gain: Array = 1.0
    gbw: Array = 1.0

    @classmethod
    def of_resistors(
        cls,
        coupling: Array,
        given: Array,
        back: Array,
        temperature: Array,
        offset: Array,
        ratios: tuple[Array, Array] = (1.0, 1.0),
    ) -> Inverters:
        """From input and feedback conductances g and g', (n,) S, at temperatures (n,) K, whose noise is 2 k T (g + g') / g'^2."""
        noise = 2 * Boltzmann * temperature * (given + back) / back**2
        return cls(coupling, given / back, offset, noise, 1 / back, *ratios)

    def added(self, leak: Array, first: Array, second: Array) -> tuple[Array, Array, Array]:
        """(n, n) k (r - h_0) S, -k h_1 F and -k h_2: what amplifiers that are not ideal add to the law, by powers of s."""
        static, slow, fast = self._lags(leak, first, second)
        gain = self.ratio / static
        return (
            self._columns(self.ratio - gain),
            self._columns(gain * slow),
            self._columns(gain * (fast - slow * slow)),
        )

    def volts(self, cells: Array, leak: Array) -> Array:
        """Outputs n at rest, (n,) V, for cells at voltages (n,) V."""
        noise_gain = 1 + self.ratio
        return (noise_gain * self.offset - self.ratio * cells) / (1 + noise_gain * leak / self.gain)

    def offset_currents(self, leak: Array) -> Array:
        """(n,) A into the cells, which are to be added to L Vos."""
        return -(self.coupling @ self.volts(0.0, leak)[..., None])[..., 0]

    def current_noise(self, leak: Array) -> Array:
        """(n, n) two-sided density of what cells get of the noise at low frequencies, A^2/Hz; it is correlated between cells."""
        return self._into_cells(self._output_noise(leak))

    def unfollowed_noise(self, leak: Array, first: Array, second: Array) -> Array:
        """k N E k^T, (n, n) A^2/Hz s: how much less noise cells hold of inverters than if these passed on all frequencies.

        White noise of density N at an inverter's output leaves the voltage variance k^2 [N / (2 K M) - N E / M^2] on a cell whose amplifier
        has the same error eps,

            E = 1 / (2 pi) integral (1 - |H|^2) / |w (1 + i w first - w^2 second)|^2 dw,      H = 1 / (1 + i w a - w^2 b),

        in closed form (the table of such integrals in H. M. James, N. B. Nichols, R. S. Phillips, Theory of Servomechanisms, 1947);
        without a second pole a^2 / [2 (first + a)].
        """
        static, a, b = self._lags(leak, first, second)
        relative = (1 + self.ratio) / static
        # (1 + first s + second s^2) (1 + a s + b s^2), its highest two coefficients over `second`.
        c1, c2 = first + a, second + b + first * a
        c3, c4 = first * relative + a, second * relative
        low, high = a * a - 2 * b, b * relative
        numerator = high * second * c3 + low * (c2 * c3 - c1 * c4)
        denominator = 2 * (c1 * c2 * c3 - second * c3 * c3 - c1 * c1 * c4)
        # Zero over zero where amplifiers have no lag.
        return self._into_cells(self._output_noise(leak) * (numerator / (denominator + (denominator == 0))))

    def _lags(self, leak: Array, first: Array, second: Array) -> tuple[Array, Array, Array]:
        """d, a and b, (n,)."""
        noise_gain = 1 + self.ratio
        static = 1 + noise_gain * leak / self.gain
        return static, noise_gain * first / self.gbw / static, noise_gain * second / self.gbw / static

    def _output_noise(self, leak: Array) -> Array:
        return self.noise / (1 + (1 + self.ratio) * leak / self.gain) ** 2

    def _columns(self, factors: Array) -> Array:
        return self.coupling * factors[..., None, :]

    def _into_cells(self, density: Array) -> Array:
        return self._columns(density) @ self.coupling.mT
