"""Covariance of a least-squares fit whose residuals are correlated within clusters, for few clusters.

Residuals e = y - X b of the runs of one system on one die have causes in common: they are correlated, and the textbook's s^2 (X^T X)^-1
comes out too small. The bias-reduced sandwich (CR2) takes each cluster g as one observation,

    V = B [sum_g X_g^T A_g e_g e_g^T A_g X_g] B,      B = (X^T X)^-1,      A_g = (1 - X_g B X_g^T)^(-1/2),

where A_g puts back what the fit took from the cluster's residuals: V has no bias where they are independent after all. V is made of few
squares, so that intervals are Student's, with Satterthwaite's degrees of freedom for independent residuals,

    nu = (tr Q)^2 / tr(Q Q),      Q_gh = p_g^T p_h,      p_g = (1 - X B X^T)_g^T A_g X_g B c,

for a combination c of the parameters: a good deal below the number of clusters where a few of them decide.

(R. M. Bell, D. F. McCaffrey, Survey Methodology 28:169, 2002; J. E. Pustejovsky, E. Tipton, J. Bus. Econ. Stat. 36:672, 2018.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ALONE = 1e-9
"""Of 1 - X_g B X_g^T, eigenvalues below which a cluster alone decides a combination, so that its residuals say nothing of it."""


def clustered_errors(
    design: Array, residuals: Array, clusters: Sequence[int] | Array, ridge: float, floor: float
) -> tuple[Array, Array]:
    """Standard errors (p,) of the parameters of a least-squares fit, and their degrees of freedom (p,).

    Args:
        design: X, (rows, p). residuals: e, (rows,).
        clusters: of each row; residuals of different clusters are independent.
        ridge: weight of the rows ridge * b = 0 that the fit had besides: they give a finite error to what no row identifies.
        floor: least standard deviation of a residual, for what the scatter cannot say: combinations that one cluster decides alone, and
            those that only the ridge holds.
    """
    labels, size = np.asarray(clusters), design.shape[1]
    inverse = np.linalg.inv(design.T @ design + ridge**2 * np.eye(size))
    maker = np.eye(len(design)) - design @ inverse @ design.T
    spread = max(float(residuals @ residuals) / max(1, len(residuals) - size), floor**2)
    covariance, parts = spread * ridge**2 * inverse @ inverse, []
    for label in dict.fromkeys(labels.tolist()):
        rows = labels == label
        left, vectors = np.linalg.eigh(maker[np.ix_(rows, rows)])
        alone = left < _ALONE
        adjustment = (vectors[:, ~alone] / np.sqrt(left[~alone])) @ vectors[:, ~alone].T
        passed = design[rows] @ inverse
        score = passed.T @ adjustment @ residuals[rows]
        own = passed.T @ vectors[:, alone]
        covariance = covariance + np.outer(score, score) + spread * own @ own.T
        parts.append(maker[:, rows] @ adjustment @ passed)
    stacked = np.stack(parts, axis=-1)
    products = np.einsum("rpg,rph->pgh", stacked, stacked)
    trace, squares = np.einsum("pgg->p", products), np.einsum("pgh,pgh->p", products, products)
    freedom = np.where(squares > 0, trace**2 / np.where(squares > 0, squares, 1.0), 1.0)
    return np.sqrt(np.diag(covariance)), np.maximum(freedom, 1.0)
