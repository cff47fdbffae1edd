"""`suspicions`: mistakes in tables of measurements that would explain them far better than the tables as they are.

A mistake is judged by its likelihood, after a fit of its own from the netlist's values. These count as known to a factor of two,

    J = -ln L + sum (x_i - x_i of the netlist)^2 / 2 (ln 2)^2,        x = ln |value|,

since times in milliseconds fit a circuit that is a thousand times slower as well. It is named where J falls by more than `EVIDENCE` and
the logarithm of the number of mistakes tried: were all of them together as probable as e^-EVIDENCE, it would still be the likelier. Where
the fit is good and its values are near the netlist's, nothing is sought, so that honest data are suspected of nothing but their errors.
Values of a fit that are far from the netlist's, and that no mistake explains, are named themselves.

Stated errors are compared with the scatter of the residuals z, where these are white: k^2 = z^T z / (N - h), h being the table's share of
the degrees of freedom that the fit takes. Residuals that follow one another in time or frequency say that the circuit is wrong, not the
errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from .....circuits.errors import InputError
from ..measurements import Measurements
from ..problem import Builder, Model, Point, Problem, free_values
from ..result import CircuitCalibration, Prior
from .alterations import alterations, exchanges
from .stated_errors import stated_errors

Array = NDArray[np.float64]
EVIDENCE = 12.0
"""ln of the odds by which a mistake must be likelier than none, besides the number of mistakes tried."""
NEARNESS = math.log(2.0)
"""Standard deviation of ln(value / netlist's value) that free values are taken to have beforehand."""
GOOD = 1e-3
"""Probability of chi^2 from which on a fit counts as good."""
FAR = 4.0
"""What values far from the netlist's add to J before a good fit is looked at: one value seven times off."""
SURE = 3.0
"""Standard errors by which a value is off the netlist's at least, where it is named."""
MOST = 3
"""Mistakes that are sought in one set of tables, one after the other."""
_ITERATIONS = 60
_GLANCE, _CLOSER = 6, 3  # iterations that tell hopeless mistakes, and how many of the best are then fitted in full


@dataclass(frozen=True)
class Suspicion:
    """A mistake that explains the data far better.

    Attributes:
        table: source of the table, or of all that are concerned; "": of none.
        text: a sentence for people.
        gain: by how much J falls; of stated errors -ln(probability) of the scatter.
    """

    table: str
    text: str
    gain: float


def suspicions(
    model: Model,
    tables: Sequence[Measurements],
    calibration: CircuitCalibration,
    priors: Mapping[str, Prior] | None = None,
) -> tuple[Suspicion, ...]:
    """Mistakes in the tables that would explain them far better, the most convincing first; see the module.

    Args:
        model: as it was calibrated, with the values that the search began at.
        tables: that were fitted.
        calibration: the fit. priors: as they were given to it.

    Raises:
        InputError: a model or table that cannot be used, as `calibrate_from_measurements`.
    """
    start = {value.name: value.start for value in calibration.values}
    build, _ = free_values(model, start)
    known = dict(priors or {})
    present = list(tables)
    plain = _search(build, start, present, known, calibration)
    found: list[Suspicion] = []
    while len(found) < MOST and (calibration.fit.p_value < GOOD or plain.far > FAR):
        better = _best_trial(build, start, present, known, plain)
        if better is None:
            break
        trial, fit = better
        found.append(_named(trial, plain, fit))
        present, plain = trial.tables, fit
        if fit.good:
            break
    if not found:
        found = [Suspicion(*one) for one in stated_errors(Problem(build, calibration.estimates, tables, known), tables)]
        found += _far_values(calibration)
    return tuple(sorted(found, key=lambda one: -one.gain))


def _far_values(calibration: CircuitCalibration) -> list[Suspicion]:
    """Values that the fit puts far from the netlist's, without a prior that says so."""
    found = []
    for value in calibration.values:
        away = math.log(abs(value.value / value.start))
        known = math.inf if value.std is None else value.std / abs(value.value)
        if value.prior is None and abs(away) > max(NEARNESS, SURE * known):
            text = (
                f"{value.name} = {value.value:.4g} is {math.exp(abs(away)):.3g} times {'above' if away > 0 else 'below'} the netlist's "
                f"{value.start:.4g}: it may stand for something that the circuit lacks; hold out data of another kind, or measure it alone"
            )
            found.append(Suspicion("", text, away**2 / (2 * NEARNESS**2)))
    return found


@dataclass(frozen=True)
class _Trial:
    """All tables as they would be without a mistake; see `Alteration`."""

    source: str
    what: str
    tables: list[Measurements]
    penalty: float = 0.0


class _Fit:
    """The least J of some tables.

    Args:
        point: there. far: what the distance of the values from the netlist's adds. penalty: of the alteration.
    """

    def __init__(self, point: Point, far: float, penalty: float) -> None:
        self.point, self.far, self.total = point, far, point.cost + far + penalty
        self.chi_squared = float(point.residual @ point.residual)
        self.factor = float(np.exp(np.abs(point.held - point.problem.origin).max()))
        rows = len(point.residual)
        self.good = self.chi_squared < rows + 4 * math.sqrt(2 * rows) and far <= FAR


def _search(
    build: Builder,
    start: Mapping[str, float],
    tables: Sequence[Measurements],
    priors: Mapping[str, Prior],
    calibration: CircuitCalibration | None = None,
    penalty: float = 0.0,
    iterations: int = _ITERATIONS,
) -> _Fit:
    """The least J, from the netlist's values and from those of the calibration, if there is one."""
    problem = Problem(build, start, tables, priors)
    weight = np.array([0.0 if name in priors else 1.0 / NEARNESS**2 for name in start])

    def far(x: Array) -> float:
        return float(weight @ (x - problem.origin) ** 2) / 2

    begins = [problem.origin]
    if calibration is not None:
        begins.append(np.log(np.abs([calibration[name].value for name in start])))
    fits = []
    for begin in begins:
        if not math.isfinite(problem.cost(begin)):
            continue
        result = minimize(
            lambda x: problem.cost(x) + far(x),
            begin,
            jac=lambda x: problem.gradient(x) + weight * (x - problem.origin),
            hess=lambda x: problem.hessian(x) + np.diag(weight),
            method="trust-exact",
            options={"initial_trust_radius": 0.5, "max_trust_radius": 2.0, "gtol": 0.1, "maxiter": iterations},
        )
        fits.append(_Fit(problem.at(result.x), far(result.x), penalty))
    if not fits:
        raise InputError(
            "the netlist's values give no prediction for these tables; start from values that a circuit can have"
        )
    return min(fits, key=lambda fit: fit.total)


def _best_trial(
    build: Builder,
    start: Mapping[str, float],
    tables: Sequence[Measurements],
    priors: Mapping[str, Prior],
    plain: _Fit,
) -> tuple[_Trial, _Fit] | None:
    """The mistake of the least J, where that is far below the one of the tables as they are."""
    trials = [
        _Trial(table.source, one.what, [*tables[:place], one.table, *tables[place + 1 :]], one.penalty)
        for place, table in enumerate(tables)
        for one in alterations(table)
    ]
    if len(tables) > 1:
        trials += [_Trial("all tables", what, changed) for what, changed in exchanges(tables)]

    def fitted(trial: _Trial, iterations: int) -> tuple[_Trial, _Fit] | None:
        try:
            return trial, _search(build, start, trial.tables, priors, penalty=trial.penalty, iterations=iterations)
        except InputError:
            # A table that could not be one, as of densities that are not positive definite.
            return None

    glanced = [fit for trial in trials if (fit := fitted(trial, _GLANCE)) is not None]
    closer = sorted(glanced, key=lambda fit: fit[1].total)[:_CLOSER]
    fits = [fit for trial, _ in closer if (fit := fitted(trial, _ITERATIONS)) is not None]
    if not fits:
        return None
    best = min(fits, key=lambda fit: fit[1].total)
    return best if plain.total - best[1].total > EVIDENCE + math.log(len(trials)) else None


def _named(trial: _Trial, plain: _Fit, fit: _Fit) -> Suspicion:
    rows = len(fit.point.residual)
    text = (
        f"{trial.source}: {trial.what}: then chi^2 is {fit.chi_squared:.4g} for {rows} readings with values within a factor of "
        f"{fit.factor:.3g} of the netlist's, instead of {plain.chi_squared:.4g} and {plain.factor:.3g}"
    )
    return Suspicion(trial.source, text, plain.total - fit.total)
