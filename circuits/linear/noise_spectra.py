"""Thermal noise of a linear netlist without a transient: cross-spectra at any frequency, and covariances over a band.

The circuit at s = 2 pi i f is (G + s C) z = n w (`descriptor`), w independent white currents: the Johnson currents of
the noisy resistors, of two-sided density 2 k T_r / R_r each, and what a caller injects. A voltage y_i = r_i^T z is
reached from all of them by one adjoint solve,

    (G + s C)^T h_i = r_i,        S_ij(f) = 2 sum_r (2 k T_r / R_r) (h_i^T n_r) (h_j^T n_r)^*,

so that the solves go with the number of voltages read and not with that of the resistors; the factor 2 makes the
density one-sided, as that of ngspice's `.noise`. (The adjoint network of Rohrer, Nagel, Meyer and Weber, IEEE J.
Solid-State Circuits 6:204, 1971.) Over a band,

    Cov_ij = integral from f_lo to f_hi of Re S_ij(f) df,

which from 0 to infinity is the stationary covariance, the solution of the Lyapunov equation in `statespace`: two
computations that share the netlist and nothing else. The imaginary part is odd in frequency; it is what
distinguishes v_i(t + tau) v_j(t) from its mirror image in time. At one temperature a network of R, L and C alone has S = 4 k T Re Z,
real and symmetric (detailed balance); a temperature gradient makes it complex.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants, sparse
from scipy.sparse.linalg import splu

from ..errors import InputError
from ..netlist.elements import GROUND, Capacitor, CurrentSource, Inductor, Resistor, VoltageSource
from ..netlist.netlist import Netlist
from .descriptor import Descriptor, describe_netlist
from .quadrature import integral
from .statespace import StateSpace, state_space

__all__ = ["NoiseSpectrum", "noise_covariance", "noise_covariances", "noise_spectrum"]

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Reading: TypeAlias = str | tuple[str, str]
Injected: TypeAlias = Mapping[Reading, float] | ArrayLike
#: A circuit of these alone cannot be unstable, and is spared the dense matrices of that test.
_PASSIVE = (Resistor, Capacitor, Inductor, VoltageSource, CurrentSource)
#: Error wanted of a band's integral, relative to the standard deviations; and the one above which it is an error.
_TOLERANCE, _MAX_ERROR = 1e-8, 1e-5
#: Share of a variance that white noise, taken over the circuit's own bandwidth, may have and still pass as rounding.
_WHITE = 1e-9
#: Distance of break points around a resonance, in half-widths: each is this times the one before.
_BREAK_RATIO = 8.0
#: Largest number of equations that are solved as dense ones, at many frequencies in one call, and of those frequencies.
_DENSE, _TOGETHER = 48, 256


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """Cross-spectra of voltages.

    Attributes:
        nodes: (plus, minus) of each voltage.
        frequencies: (F,) in Hz.
        density: (F, k, k) complex, Hermitian, one-sided, in V^2/Hz: entry i, j belongs to V_i(f) V_j(f)^*. Half of it is the two-sided
            density, in which the rest of this package states its noise sources.
    """

    nodes: tuple[tuple[str, str], ...]
    frequencies: Array
    density: ComplexArray

    @property
    def amplitude(self) -> Array:
        """(F, k) in V/sqrt(Hz), sqrt of the diagonal: what ngspice's `.noise` calls onoise_spectrum."""
        diagonal = np.einsum("fii->fi", self.density).real
        return np.asarray(np.sqrt(np.maximum(diagonal, 0.0)))


def noise_spectrum(
    netlist: Netlist, nodes: Sequence[Reading], frequencies: ArrayLike, injected: Injected | None = None
) -> NoiseSpectrum:
    """One-sided cross-spectra of voltages: S_ij(f) = 2 sum_r s_r (h_i^T n_r) (h_j^T n_r)^*, one factorisation a frequency.

    Johnson noise of every noisy resistor at its own temperature (s_r = 2 k T_r / R_r, two-sided), and of `injected`.

    Args:
        netlist: a linear circuit; its independent sources have no part in it.
        nodes: k voltages, each a node name or a pair (plus, minus) of them.
        frequencies: (F,) in Hz, >= 0.
        injected: white currents that are injected besides, in **two-sided** A^2/Hz: a mapping from a node (or a pair: out of minus, into
            plus) to the density of an independent source; or a covariance density, (N, N) in the order of `netlist.nodes`.

    Returns:
        The spectra, (F, k, k) in **one-sided** V^2/Hz.

    Raises:
        InputError: an unknown node; a frequency or density that is not usable; an unstable circuit (R, L and C alone cannot be
            one); equations that are singular at a frequency.
        NetlistError: the circuit's graph is bad.
    """
    netlist.check(direct_current=False)
    wanted = _numbers(frequencies)
    if wanted.ndim != 1 or wanted.size == 0 or not np.all(np.isfinite(wanted)) or wanted.min() < 0.0:
        raise InputError(f"frequencies = {frequencies!r}: a sequence of finite values >= 0 Hz is needed")
    system = _System(netlist, nodes, injected, "injected")
    if not all(isinstance(element, _PASSIVE) for element in netlist):
        _require_stable(state_space(netlist, {}))
    return NoiseSpectrum(system.pairs, wanted, np.concatenate([system.density(part) for part in _parts(wanted)]))


def noise_covariance(
    netlist: Netlist,
    nodes: Sequence[Reading],
    band: tuple[float, float] | None = None,
    injected: Injected | None = None,
) -> Array:
    """Covariance of voltages: the stationary one, or the share of it that lies in a band.

    Without a band the exact solution of F S + S F^T = -Q (`statespace`). With one, the integral of Re S_ij(f) df from f_lo to f_hi, by
    adaptive Gauss-Legendre rules that start from intervals split at the natural frequencies of the circuit and at multiples of their
    half-widths, so that a narrow resonance is not missed. Its error, in units of the standard deviations' product, is brought below
    1e-8; a circuit so ill-conditioned that 1e-5 is not reached is an error.

    Args:
        netlist: a linear circuit with a stationary law.
        nodes: k voltages, each a node name or a pair (plus, minus) of them.
        band: (f_lo, f_hi) in Hz, 0 <= f_lo < f_hi <= inf; None: everything.
        injected: white currents besides the Johnson noise, two-sided A^2/Hz, as in `noise_spectrum`.

    Returns:
        (k, k) in V^2.

    Raises:
        InputError: an unknown node, a bad band or density, an unstable circuit, white noise at a node (one that no capacitor holds) over an
            unlimited band.
        NetlistError: as `statespace.state_space`.
    """
    return noise_covariances(netlist, nodes, [band], injected)[0]


def noise_covariances(
    netlist: Netlist,
    nodes: Sequence[Reading],
    bands: Sequence[tuple[float, float] | None],
    injected: Injected | None = None,
) -> list[Array]:
    """`noise_covariance` of several bands; what they share is computed once."""
    limits = [None if band is None else _check_band(band) for band in bands]
    netlist.check(direct_current=False)
    system = _System(netlist, nodes, injected, "injected")
    space = state_space(netlist, {str(i): pair for i, pair in enumerate(system.pairs)})
    space = dataclasses.replace(space, noise_density=space.noise_density + system.injected_at(space.noise_nodes))
    _require_stable(space)
    if any(band is None or math.isinf(band[1]) for band in limits):
        _check_not_white(space, system.pairs)
    return [space.covariance() if band is None else _integrate(system, band, space.eigenvalues) for band in limits]


class _System:
    """A netlist's matrices, what reads it and what drives it, in the coordinates of its descriptor."""

    def __init__(self, netlist: Netlist, nodes: Sequence[Reading], injected: Injected | None, what: str) -> None:
        self.pairs = _pairs(netlist, nodes)
        self.descriptor: Descriptor = describe_netlist(netlist)
        self.reads = self.descriptor.differences(list(self.pairs)).toarray().T.astype(complex)
        noisy = [r for r in netlist.of(Resistor) if r.noisy]
        kelvin = [netlist.temperature if r.temperature is None else r.temperature for r in noisy]
        ohm = np.array([r.resistance for r in noisy])
        amperes = np.sqrt(2.0 * constants.k * np.array(kelvin) / ohm)
        self.injected = self._factor(netlist, injected, what)
        johnson = self.descriptor.differences([(r.a, r.b) for r in noisy]).T * amperes
        self.drive = sparse.hstack([johnson, self.injected], format="csr")

    def _factor(self, netlist: Netlist, injected: Injected | None, what: str) -> sparse.csc_array:
        """(size, sources) in A/sqrt(Hz): its product with its transpose is the two-sided density of the injected currents."""
        if injected is None or (isinstance(injected, Mapping) and not injected):
            return sparse.csc_array((self.reads.shape[0], 0))
        if isinstance(injected, Mapping):
            pairs = _pairs(netlist, list(injected), what)
            densities = np.array([_density(key, value, what) for key, value in injected.items()])
            return sparse.csc_array(self.descriptor.differences(list(pairs)).T * np.sqrt(densities))
        names = netlist.nodes
        matrix = _numbers(injected)
        if matrix.shape != (len(names), len(names)) or not np.all(np.isfinite(matrix)):
            raise InputError(
                f"{what}: shape {matrix.shape}; a mapping node -> A^2/Hz, or finite values of shape {(len(names), len(names))} in the "
                "order of netlist.nodes, are needed"
            )
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        size = float(np.abs(matrix).max())
        if np.abs(matrix - matrix.T).max() > 1e-9 * size or values[0] < -1e-9 * size:
            raise InputError(
                f"{what}: not a covariance density, with smallest eigenvalue {values[0]:.3g} A^2/Hz and asymmetry "
                f"{np.abs(matrix - matrix.T).max():.3g} A^2/Hz; give a symmetric positive semidefinite matrix"
            )
        factor = vectors * np.sqrt(np.maximum(values, 0.0))
        return sparse.csc_array(self.descriptor.differences([(name, GROUND) for name in names]).T @ factor)

    def injected_at(self, nodes: tuple[str, ...]) -> Array:
        """Two-sided covariance density of the injected currents at some nodes, A^2/Hz."""
        factor = self.injected.toarray()[[self.descriptor.index[node] for node in nodes]]
        return np.asarray(factor @ factor.T)

    def density(self, frequencies: Array) -> ComplexArray:
        """(F, k, k) one-sided V^2/Hz at frequencies (F,). Small circuits are solved at many frequencies at once."""
        size = self.reads.shape[0]
        if size > _DENSE:
            reach = np.stack([self._solve(f) for f in frequencies.tolist()])
        else:
            conductance, storage = self.descriptor.conductance.toarray().T, self.descriptor.storage.toarray().T
            turns = 2j * math.pi * frequencies[:, None, None]
            try:
                reach = np.linalg.solve(conductance + turns * storage, self.reads[None])
            except np.linalg.LinAlgError:
                reach = np.stack([self._solve(f) for f in frequencies.tolist()])  # which finds the frequency
        bad = ~np.all(np.isfinite(reach), axis=(1, 2))
        if np.any(bad):
            raise InputError(
                f"frequency = {frequencies[np.argmax(bad)]:g} Hz: the circuit's equations are singular there (a lossless resonance; at "
                "0 Hz a loop of inductors); leave this frequency out, or give the inductors their winding resistance"
            )
        if size <= _DENSE:
            volts = reach.swapaxes(1, 2) @ self.drive.toarray()
        else:
            volts = np.stack([(self.drive.T @ one).T for one in reach])
        return np.asarray(2.0 * volts @ volts.conj().swapaxes(1, 2))

    def _solve(self, frequency: float) -> ComplexArray:
        """(size, k): NaN where the equations are singular."""
        try:
            return np.asarray(splu(self.descriptor.at(2j * math.pi * frequency)).solve(self.reads, trans="T"))
        except RuntimeError:
            return np.full_like(self.reads, np.nan)


def _pairs(netlist: Netlist, nodes: Sequence[Reading], what: str = "nodes") -> tuple[tuple[str, str], ...]:
    """Node names as pairs against ground; all of them known."""
    if isinstance(nodes, str) or len(nodes) == 0:
        raise InputError(
            f"{what} = {nodes!r}: a sequence of node names, or of pairs of them, is needed, such as ['a', ('p', 'm')]"
        )
    known = {*netlist.nodes, GROUND}
    pairs = []
    for entry in nodes:
        pair = (entry, GROUND) if isinstance(entry, str) else tuple(entry)
        if len(pair) != 2:
            raise InputError(f"{what}: {entry!r} is neither a node name nor a pair (plus, minus)")
        for node in pair:
            if node not in known:
                raise InputError(
                    f"{what}: the netlist has no node {node!r}; use one of {', '.join(netlist.nodes[:12])}"
                )
        if pair[0] == pair[1]:
            raise InputError(f"{what}: {entry!r} is no voltage, both ends being {pair[0]!r}; name two different nodes")
        pairs.append((str(pair[0]), str(pair[1])))
    return tuple(pairs)


def _numbers(values: ArrayLike) -> Array:
    """As an array of floats; of NaN where that fails, which every caller rejects."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return np.full(1, np.nan)


def _density(key: Reading, value: float, what: str) -> float:
    number = _numbers(value)
    if number.ndim != 0 or not np.isfinite(number) or number < 0.0:
        raise InputError(f"{what}[{key!r}] = {value!r} A^2/Hz: a finite two-sided density >= 0 is needed")
    return float(number)


def _check_band(band: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(limit) for limit in band)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not (0.0 <= low < high and math.isfinite(low)):
        raise InputError(
            f"band = {band!r}: (f_lo, f_hi) in Hz with 0 <= f_lo < f_hi <= inf is needed, or None for everything"
        )
    return low, high


def _require_stable(space: StateSpace) -> None:
    if not space.is_stable:
        raise InputError(
            f"thermal noise needs a stable circuit, but {space.eigenvalues[0]:.6g} 1/s does not decay; change the signs of "
            "the feedback, or add a resistor where a resonance has no loss"
        )


def _check_not_white(space: StateSpace, pairs: Sequence[tuple[str, str]]) -> None:
    """Name a voltage with white noise in it: over all frequencies its variance is infinite."""
    white = np.einsum("ij,jk,ik->i", space.Dn, space.noise_density, space.Dn)
    bandwidth = float(np.abs(space.eigenvalues).max(initial=0.0))
    share = white * (bandwidth if bandwidth > 0.0 else 1.0)
    for pair, power, variance in zip(pairs, share, np.diag(space.covariance()), strict=True):
        if power > _WHITE * variance:
            raise InputError(
                f"nodes: the voltage {pair} has white noise (no capacitor holds it), of infinite variance over all "
                "frequencies; give a band with a finite f_hi, or add the capacitor to ground that the node has in reality"
            )


def _integrate(system: _System, band: tuple[float, float], eigenvalues: ComplexArray) -> Array:
    """Integral of Re S over the band, relative to the variances that a coarse sum gives."""
    low, high = band
    points = _break_points(eigenvalues, low, high)
    # Not at 0 Hz itself, where a loop of inductors is singular; Gauss' points avoid the ends as well.
    rough = np.einsum("fii->fi", system.density(np.array([f or points[1] / 2 for f in points]))).real
    power = np.trapezoid(rough, points, axis=0) + (rough[-1] * points[-1] if math.isinf(high) else 0.0)
    spread = np.sqrt(np.where(power > 0.0, power, 1.0))
    shape = np.outer(spread, spread)

    def inside(frequencies: Array) -> Array:
        return np.concatenate([system.density(part).real / shape for part in _parts(frequencies)])

    def beyond(inverse: Array) -> Array:
        """f = last / t maps [last, inf) to (0, 1]: S falls as 1/f^2, so that this is smooth."""
        return np.asarray(inside(points[-1] / inverse) * (points[-1] / inverse**2)[:, None, None])

    total, error = integral(inside, points, _TOLERANCE)
    if math.isinf(high):
        tail, more = integral(beyond, [0.0, 1.0], _TOLERANCE)
        total, error = total + tail, error + more
    if error > _MAX_ERROR:
        raise InputError(
            f"band = ({low:g}, {high:g}) Hz: the integral is only known to {error:.1g} of the variances, since the circuit's equations are "
            "ill-conditioned there; use a narrower band, or parts of closer size"
        )
    result = total * shape
    return np.asarray((result + result.T) / 2)


def _parts(frequencies: Array) -> list[Array]:
    """Slices of frequencies whose equations fit into the memory together."""
    return [frequencies[begin : begin + _TOGETHER] for begin in range(0, len(frequencies), _TOGETHER)]


def _break_points(eigenvalues: ComplexArray, low: float, high: float) -> list[float]:
    """Frequencies (Hz) from `low` to `high` (or, if that is infinite, to beyond the fastest corner) to split the band at.

    A swinging mode at f0 of half-width w: f0 and f0 +- w, 8 w, 64 w, ..., so that the intervals grow with the distance from the peak as
    the Lorentzian widens. A creeping mode: its corner. Points closer than half their width to a narrower one are left out, and gaps of
    more than a decade are filled.
    """
    found = [
        (abs(value) / 4 / math.pi, abs(value) / 2 / math.pi) for value in eigenvalues.tolist() if value.imag >= 0.0
    ]
    for value in eigenvalues.tolist():
        centre, width = value.imag / 2 / math.pi, abs(value.real) / 2 / math.pi
        while 0.0 < width < centre:
            found.extend((width, point) for point in (centre - width, centre, centre + width))
            width *= _BREAK_RATIO
    fastest = max((point for _, point in found), default=max(low, 1.0))
    end = high if math.isfinite(high) else max(2 * fastest, 2 * low)
    kept: list[float] = []
    for width, point in sorted(found):
        if low < point < end and all(abs(point - other) > width / 2 for other in kept):
            kept.append(point)
    points = [low, *sorted(kept), end]
    filled = points[:1]
    for point in points[1:]:
        last = filled[-1]
        if last > 0.0 and point > 10 * last:
            filled.extend(np.geomspace(last, point, math.ceil(math.log10(point / last)) + 1)[1:-1].tolist())
        filled.append(point)
    return filled
