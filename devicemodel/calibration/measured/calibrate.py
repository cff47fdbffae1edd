"""`calibrate_from_measurements`: the values of a circuit's parts from what a laboratory measured of it.

The model is the circuit's own law: cross-spectra and band covariances of its thermal noise (`circuits.linear.noise_spectra`), and its mean
response to constant sources (`circuits.linear.statespace`). The logarithms of the free values maximise the likelihood of `likelihood`, by
Fisher scoring in a trust region; their covariance is the inverse of the Fisher information, in which a prior is one more measurement.
Eigenvectors of that information say which values the data do not identify (`identifiability`).

A likelihood may have several maxima, of which the Fisher information knows one: the search is repeated from other starting values, and a
maximum of nearly the same height elsewhere is an alternative, which the result names.

Data that are held out never enter the fit. With residuals z and sensitivities A there, and I the fit's information, the prediction's
error is part of their covariance, so that chi^2 = z^T (1 + A I^-1 A^T)^-1 z = z^T z - z^T A (I + A^T A)^-1 A^T z.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import gamma

from ....circuits.errors import InputError
from ....circuits.netlist.netlist import Netlist
from ....circuits.version import __version__
from ..identifiability import LIMIT, standard_errors, unidentifiable
from .measurements import Measurements, read_measurements
from .problem import Model, Point, Problem, free_values
from .result import Check, CircuitCalibration, DataRange, DataSource, Prior, Residual, Value, Verdict

__all__ = ["calibrate_from_measurements", "check_measurements"]

Array = NDArray[np.float64]
Table: TypeAlias = Measurements | str | Path
Errors: TypeAlias = Literal["stated", "inflated"]
Progress: TypeAlias = Callable[[int, int], None]
SUSPECT = 1e-3
"""Probability of the fitted data's chi^2 below which the circuit is taken to be wrong."""
ALTERNATIVE = 2.0
"""How far ln L of an alternative is below the best one's at most: its values are within two standard errors, were the likelihood normal."""
_SPREAD = math.log(10.0)  # other starting values are up to this off, in either direction
_GRADIENT = 1e-3  # a direction that counts as identified, of strength 1 / LIMIT or more, is then within 5e-4 of its standard error
_DEPENDENT = 1e-5  # share of the largest singular value below which one is that of rounding
_SHARES = 20  # of a search that are told one by one
_NOTHING = 1e-6  # information of a value known to a factor of e^1000, which makes every information matrix invertible


def calibrate_from_measurements(
    model: Model,
    free: Sequence[str] | Mapping[str, float],
    tables: Sequence[Table],
    held_out: Sequence[Table] = (),
    priors: Mapping[str, Prior] | None = None,
    starts: int = 4,
    seed: int = 0,
    errors: Errors = "stated",
    progress: Progress | None = None,
) -> CircuitCalibration:
    """Fit values of a circuit to measurements by maximum likelihood, and test it on what was held out.

    Args:
        model: a linear netlist; or a function from the free values, name -> value, to one, for values that several parts share.
        free: names of the netlist's parts whose value (ohm, F, H, gain, S, V or A) is sought, which starts at the netlist's; or name ->
            starting value, right to a factor of 1000. Signs are kept.
        tables: measurements, or files of them (`measurements`), whose errors are independent of each other.
        held_out: the same, only tested.
        priors: name -> what is known of a free value besides.
        starts: further searches, from starting values that are each up to a factor of 10 off.
        seed: of these.
        errors: "stated" takes the tables' standard errors as they are; "inflated" multiplies them by sqrt(chi^2 / degrees of freedom) where
            the fitted data scatter by more than they state. That widens the standard errors of the values and changes neither the values
            nor the verdict: where the circuit is wrong, no factor makes up for it.
        progress: called with (done, total), in shares of the searches, which end when the gradient has become small.

    Example:
        ``calibrate_from_measurements(netlist, ["R3", "C1"], ["spectra.csv"], priors={"C1": Prior(value=22e-9, std=1e-9)})``

    Raises:
        InputError: an unusable model, name, starting value, prior or table; measurements that the netlist cannot be asked for.
        NetlistError: the netlist is bad.
    """
    if starts < 0 or seed < 0:
        raise InputError(f"starts = {starts}, seed = {seed}: integers >= 0 are needed")
    if errors not in get_args(Errors):
        raise InputError(f"errors = {errors!r}: 'stated' or 'inflated' is needed")
    build, start = free_values(model, free)
    known = dict(priors or {})
    fitted, tested = _tables("tables", tables), _tables("held_out", held_out)
    if not fitted:
        raise InputError("tables: none; give at least one table of measurements to fit")
    problem = Problem(build, start, fitted, known)
    problem.at(problem.origin).sensitivity  # noqa: B018  an unusable start is the caller's error, a later one is a step too far
    best, success, alternatives = _search(problem, starts, np.random.default_rng(seed), progress)
    factor = best.sensitivity
    chi_squared = float(best.residual @ best.residual)
    freedom = max(1, len(factor) - int(np.linalg.matrix_rank(factor, rtol=_DEPENDENT)))
    fit = Check(
        chi_squared=chi_squared,
        degrees_of_freedom=freedom,
        p_value=_p_value(chi_squared, freedom, problem.spread),
        outside=0,
        residuals=_residuals(problem.labels, best.residual),
    )
    inflation = max(1.0, fit.scatter) if errors == "inflated" else 1.0
    factor = np.concatenate([factor[: len(factor) - len(known)] / inflation, factor[len(factor) - len(known) :]])
    std, _ = standard_errors(factor)
    information, data_range = factor.T @ factor, _validity(fitted, best.netlist.temperature)
    held = _check(Problem(build, best.values, tested, {}), information, data_range) if tested else None
    return CircuitCalibration(
        verdict=_verdict(success, fit, held, bool(alternatives), bool(np.any(std > LIMIT))),
        values=tuple(
            Value(
                name=name,
                value=value,
                std=float(error * abs(value)) if error <= LIMIT else None,
                start=start[name],
                prior=known.get(name),
                at_bound=at_bound,
            )
            for (name, value), error, at_bound in zip(
                best.values.items(), std.tolist(), best.at_bound.tolist(), strict=True
            )
        ),
        alternatives=alternatives,
        information=_as_tuples(information),
        unidentifiable=unidentifiable(factor[: len(factor) - len(known)], list(start)),
        fit=fit,
        held_out=held,
        data_range=data_range,
        sources=tuple(
            DataSource(name=t.source, kind=t.kind, rows=len(t), sha256=t.sha256, held_out=held)
            for group, held in ((fitted, False), (tested, True))
            for t in group
        ),
        inflation=inflation,
        netlist_sha256=_digest(best.netlist),
        version=__version__,
    )


def _search(
    problem: Problem, starts: int, rng: np.random.Generator, progress: Progress | None
) -> tuple[Point, bool, tuple[dict[str, float], ...]]:
    """The highest maximum found, whether the search for it converged, and other maxima nearly as high."""
    found: list[tuple[Point, bool]] = []
    told = _Told(progress, starts + 1)
    for attempt in range(starts + 1):
        told.begin(attempt)
        shift = rng.uniform(-_SPREAD, _SPREAD, len(problem.origin)) if attempt else 0.0
        begin = problem.origin + shift
        if not math.isfinite(problem.cost(begin)):
            continue
        result = minimize(
            problem.cost,
            begin,
            jac=lambda x: told.gradient(problem.gradient(x)),
            hess=problem.hessian,
            method="trust-exact",
            options={"initial_trust_radius": 0.3, "max_trust_radius": 1.0, "gtol": _GRADIENT, "maxiter": 100},
        )
        found.append((problem.at(result.x), bool(result.success)))
    told.begin(starts + 1)
    best, success = min(found, key=lambda pair: pair[0].cost)
    others: list[Point] = []
    for point, _ in sorted(found, key=lambda pair: pair[0].cost):
        near = any(_distance(point, other) < 2.0 for other in (best, *others))
        if point.cost < best.cost + ALTERNATIVE and not near:
            others.append(point)
    return best, success, tuple(point.values for point in others)


class _Told:
    """Progress of searches: the gradient's way down to its limit, on a logarithmic scale, is one of them."""

    def __init__(self, progress: Progress | None, searches: int) -> None:
        self.progress, self.searches = progress, searches

    def begin(self, attempt: int) -> None:
        self.attempt, self.first, self.share = attempt, 0.0, 0
        self._tell()

    def gradient(self, found: Array) -> Array:
        height = max(0.0, math.log(max(float(np.linalg.norm(found)), _GRADIENT) / _GRADIENT))
        self.first = self.first or height
        self.share = max(self.share, int(_SHARES * (1.0 - height / self.first)) if self.first else 0)
        self._tell()
        return found

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(_SHARES * self.attempt + self.share, _SHARES * self.searches)


def _distance(one: Point, other: Point) -> float:
    """Between two maxima, in standard errors, by the smaller of their informations: along what neither can tell it is zero."""
    way = one.held - other.held
    return min(float(np.linalg.norm(point.sensitivity @ way)) for point in (one, other))


def _verdict(success: bool, fit: Check, held: Check | None, ambiguous: bool, unknown: bool) -> Verdict:
    if not success:
        return Verdict.NOT_CONVERGED
    if fit.p_value < SUSPECT:
        return Verdict.MISFIT
    if held is not None and held.p_value < SUSPECT:
        return Verdict.CONTRADICTED
    if ambiguous:
        return Verdict.AMBIGUOUS
    return Verdict.UNIDENTIFIABLE if unknown else Verdict.OK


def check_measurements(card: CircuitCalibration, model: Model, tables: Sequence[Table]) -> Check:
    """Measurements that were not fitted against a calibrated circuit; the error of the calibrated values is part of the residuals'.

    Args:
        card: the calibration.
        model: the model that it was made with.
        tables: new measurements.

    Raises:
        InputError: another model than the calibration's, or as `calibrate_from_measurements`.
    """
    build, start = free_values(model, card.estimates)
    found = _tables("tables", tables)
    if not found:
        raise InputError("tables: none; give at least one table of measurements to check")
    problem = Problem(build, start, found, {})
    if _digest(problem.at(problem.origin).netlist) != card.netlist_sha256:
        raise InputError(
            "model: not the one that was calibrated, since its netlist at the calibrated values differs; give that one"
        )
    return _check(problem, np.array(card.information), card.data_range)


def _check(problem: Problem, information: Array, data_range: DataRange) -> Check:
    """Measurements at calibrated values of a given information."""
    point = problem.at(problem.origin)
    z, a = point.residual, point.sensitivity
    known = information + _NOTHING * np.eye(len(information))
    score = a.T @ z
    chi_squared = max(0.0, float(z @ z - score @ np.linalg.solve(known + a.T @ a, score)))
    error = np.sqrt(1.0 + np.einsum("rp,pr->r", a, np.linalg.solve(known, a.T)))
    return Check(
        chi_squared=chi_squared,
        degrees_of_freedom=len(z),
        p_value=_p_value(chi_squared, len(z), problem.spread),
        outside=sum(_outside(table, data_range) for table in problem.tables),
        residuals=_residuals(problem.labels, z / error),
    )


def _tables(name: str, items: Sequence[Table]) -> list[Measurements]:
    if isinstance(items, str | PurePath | Measurements):  # a text is a sequence, of its letters
        raise InputError(f"{name} is one {type(items).__name__}: give a list, such as ['spectra.csv']")
    return [item if isinstance(item, Measurements) else read_measurements(item) for item in items]


def _p_value(chi_squared: float, degrees_of_freedom: int, spread: Array) -> float:
    """Upper tail of the gamma distribution that has chi^2's mean and variance; it is chi^2's own where every residual is normal."""
    shape = degrees_of_freedom / float(spread.mean())
    return float(gamma.sf(chi_squared, shape, scale=float(spread.mean())))


def _residuals(labels: Sequence[str], values: Array) -> tuple[Residual, ...]:
    return tuple(Residual(of=label, value=value) for label, value in zip(labels, values.tolist(), strict=True))


def _as_tuples(matrix: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in ((matrix + matrix.T) / 2).tolist())


def _digest(netlist: Netlist) -> str:
    return hashlib.sha256(netlist.to_spice().encode()).hexdigest()


_SPANS = {
    "frequency_hz": ("frequency_hz", "f_lo_hz", "f_hi_hz"),
    "time_s": ("time_s",),
    "volts": ("volts",),
    "density_v2_per_hz": ("density_v2_per_hz",),
    "covariance_v2": ("covariance_v2",),
}


def _validity(tables: Sequence[Measurements], temperature: float) -> DataRange:
    spans: dict[str, tuple[float, float] | None] = {}
    for field, names in _SPANS.items():
        seen = [t.columns[name] for t in tables for name in names if name in t.columns]
        magnitude = np.abs(np.concatenate(seen)) if seen else np.zeros(0)
        spans[field] = (float(magnitude.min()), float(magnitude.max())) if seen else None
    return DataRange(**spans, temperature=temperature)


def _outside(table: Measurements, data_range: DataRange) -> int:
    """Rows at frequencies or times that the fit has not seen."""
    span = data_range.time_s if table.kind == "trace" else data_range.frequency_hz
    names = _SPANS["time_s" if table.kind == "trace" else "frequency_hz"]
    points = np.column_stack([table.columns[name] for name in names if name in table.columns])
    if span is None:
        return len(points)
    return int(np.sum(np.any((points < span[0]) | (points > span[1]), axis=1)))
