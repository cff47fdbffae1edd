"""Spectra of A^-1 E for a symmetric positive definite A and a random E of independent entries, of variances V (n, n).

Entries all independent: E |(A^-1 E)^k x|^2 grows as r^(2k), and the eigenvalues fill a disc of radius r, where r^2 is the Perron root of

    q -> |A^-1|^2 V q          (|.|^2 entry by entry),

s |A^-1|_F for V = s^2 (of a diagonal A: J. Alt, L. Erdos, T. Krueger, Ann. Appl. Probab. 28:148, 2018).

E symmetric: the eigenvalues are real, those of A^-1/2 E A^-1/2. Its resolvent's g = diag(A^-1/2 G A^-1/2) obeys Dyson's equation
g = -diag (z A + diag(V g))^-1. With w = -V g / z, which lies along V h(w), h(w) = diag (A - diag w)^-1, it reads z^2 w = V h(w), and the
spectrum ends at the smallest z that a w with A - diag w > 0 solves it for: 2 s sqrt(n) / a for A = a I (E. Wigner's semicircle).

Refinement takes (1 + X)^-1 X, X = A^-1 E, to the power of its readings K. In rms over E and x, with p_m = E |X^m x|^2 / |x|^2,

    |((1 + X)^-1 X)^K x|^2 / |x|^2 = sum_j C(K + j - 1, j)^2 p_(K + j)                    (independent entries)
                                   = integral of (x / (1 + x))^2K over a semicircle      (symmetric),

which is (e / (1 - e))^2K for many readings, and less for few: not every mode is at the edge e.

Both at once, edges e_s and e_i: the real end of an ellipse, (e_s^2 / 2 + e_i^2) / sqrt(e_s^2 / 4 + e_i^2) (V. Girko's elliptic law). A
diagonal is symmetric: where it holds much of the variance, as that of parts in proportion to their values, independent entries alone would
have a radius that is too small by half.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import gammaln, logsumexp

STEPS, SETTLED = 200, 1e-3
LENGTHS = (0.4, 0.6, 0.75, 0.85, 0.92, 0.97)
"""Of w, over the length at which A - diag w is singular. The least z lies at 1/2 where all modes are alike, and near 1 where a few are."""
ANGLES, SPREAD = 400, 4
"""Points of a semicircle, and means of a negative binomial law beyond which nothing is summed."""


def perron_root(matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """Largest eigenvalue of a matrix (n, n) of entries >= 0, and its vector (n,), of largest entry 1."""
    vector, root = np.ones(len(matrix)), 0.0
    for _ in range(STEPS):
        vector = matrix @ vector
        last, root = root, float(vector.max(initial=0.0))
        if root == 0:
            return 0.0, np.ones(len(matrix))
        vector = vector / root
        if abs(root - last) <= SETTLED * root:
            break
    return root, vector


def inverse(matrix: np.ndarray) -> np.ndarray | None:
    """Of a symmetric positive definite matrix (n, n); None of one that is not."""
    # torch's LAPACK: numpy's was 3 to 15 times slower beside other work.
    factor, failed = torch.linalg.cholesky_ex(torch.from_numpy(matrix))
    return None if int(failed) else np.asarray(torch.cholesky_inverse(factor))


def independent_radius(
    inverted: np.ndarray, variance: np.ndarray, readings: int | None = None, columns: np.ndarray | None = None
) -> float:
    """Spectral radius e of A^-1 E, entries independent, from A^-1; or the e whose e / (1 - e) is the mean factor of so many readings.

    Args:
        columns: C (n, n); E has C diag(z), too, with independent z of variance 1. Those of different columns are independent, so that paths
            j_1, j_2, ... add up as those of independent entries do: to |A^-1|^2 V comes |A^-1 C|^2. What entries of one sign in C do
            together is left out: an eigenvalue of its own, which stays within the radius of the rest in an array of amplifiers.
    """
    profile = inverted**2 @ variance
    if columns is not None:
        profile = profile + (inverted @ columns) ** 2
    root, _ = perron_root(profile)
    if readings is None or not 0 < root < 1:
        return math.sqrt(root)
    power, logs = np.ones(len(profile)), []
    scaled, terms = profile / root, readings + math.ceil(SPREAD * readings / (1 - root))
    for m in range(1, terms + 1):
        power = scaled @ power
        logs.append(m * math.log(root) + math.log(float(power.mean())))
    j = np.arange(terms - readings + 1)
    binomial = gammaln(readings + j) - gammaln(readings) - gammaln(j + 1)
    return _edge_of(float(logsumexp(2 * binomial + np.array(logs[readings - 1 :]))) / (2 * readings))


def symmetric_edge(
    matrix: np.ndarray, inverted: np.ndarray, variance: np.ndarray, readings: int | None = None
) -> float:
    """Largest eigenvalue e of A^-1 E, E symmetric, from A and A^-1; or as for `independent_radius`, by a semicircle up to e."""
    if not variance.any():
        return 0.0
    _, direction = perron_root(variance @ inverted**2)

    found = []
    # Once more for the direction: it hardly turns from one length to the next.
    for length in (LENGTHS[0], *LENGTHS):
        w = length * _longest(inverted, direction) * direction
        within = inverse(matrix - np.diag(w))
        if within is None:
            break
        turned = variance @ within.diagonal()
        found.append(0.5 * math.log(float(turned.max() / w.max())))
        direction = turned / turned.max()
    end = math.exp(_lowest(found[1:]))
    if readings is None or not end < 1:
        return end
    angle = (np.arange(ANGLES) + 0.5) * math.pi / ANGLES
    x = end * np.cos(angle)
    weight = np.log(np.sin(angle) ** 2 * 2 / ANGLES)
    return _edge_of(float(logsumexp(weight + 2 * readings * np.log(np.abs(x / (1 + x))))) / (2 * readings))


def _lowest(values: list[float]) -> float:
    """Minimum of a smooth function of `LENGTHS`, by a parabola in their logits."""
    lowest = min(values, default=math.inf)
    if len(values) < 3:
        return lowest
    # The end, too, may be next to the minimum.
    place = min(max(int(np.argmin(values)), 1), len(values) - 2)
    t = np.array([math.log(one / (1 - one)) for one in LENGTHS[place - 1 : place + 2]])
    curve, slope, height = np.polyfit(t, values[place - 1 : place + 2], 2)
    if not (curve > 0 and t[0] < -slope / (2 * curve) < t[2]):
        return lowest
    return min(lowest, float(height - slope**2 / (4 * curve)))


def _edge_of(logarithm: float) -> float:
    """e of a factor e / (1 - e), from its logarithm."""
    return 1.0 / (1.0 + math.exp(-logarithm))


def _longest(inverted: np.ndarray, direction: np.ndarray) -> float:
    """The length of w in that direction at which A - diag w is singular."""
    root = np.sqrt(direction)
    # A start of equal entries would be orthogonal to the mode that is sought where a matrix has symmetries, as one of two unknowns.
    vector, found = np.random.default_rng(0).standard_normal(len(root)), 1.0
    for _ in range(STEPS):
        vector = root * (inverted @ (root * vector))
        last, found = found, float(np.linalg.norm(vector))
        vector = vector / found
        if abs(found - last) <= SETTLED * found:
            break
    return 1.0 / found


def spectral_edge(
    matrix: np.ndarray,
    inverted: np.ndarray,
    symmetric: np.ndarray,
    independent: np.ndarray,
    readings: int | None = None,
    columns: np.ndarray | None = None,
) -> float:
    """e of A^-1 E, from A, A^-1 and the variances (n, n) of what is symmetric of E and of what is independent; `columns` as above."""
    diagonal = np.diag(independent.diagonal())
    return elliptic_edge(
        symmetric_edge(matrix, inverted, symmetric + diagonal, readings),
        independent_radius(inverted, independent - diagonal, readings, columns),
    )


def elliptic_edge(symmetric: float, independent: float) -> float:
    """Real end of the spectrum of A^-1 (E_s + E_i), from those of each."""
    if symmetric == independent == 0:
        return 0.0
    if math.isinf(symmetric) or math.isinf(independent):
        return math.inf
    return (symmetric**2 / 2 + independent**2) / math.hypot(symmetric / 2, independent)
