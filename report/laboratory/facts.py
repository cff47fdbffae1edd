"""The facts of a laboratory report, as plain data: what the page shows and `report.json` holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...circuits.netlist.elements import Capacitor, CurrentSource, Inductor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...devicemodel.calibration.measured.measurements import Measurements
from ...devicemodel.calibration.measured.predicted_rows import QUANTITY, netlist_at, predicted_rows, row_errors
from ...devicemodel.calibration.measured.result import Check, CircuitCalibration, Value, Verdict

UNITS = {Resistor: "ohm", Capacitor: "F", Inductor: "H", VoltageSource: "V", CurrentSource: "A"}
QUANTITY_UNITS = {"trace": "V", "spectrum": "V^2/Hz", "covariance": "V^2", "correlation": ""}
VERDICTS = {
    Verdict.OK: "The circuit explains what was measured, and the values are identified.",
    Verdict.UNIDENTIFIABLE: "The circuit explains what was measured, but the data do not identify every value.",
    Verdict.AMBIGUOUS: "Other values explain the data as well: see the alternatives.",
    Verdict.CONTRADICTED: "The fitted data are explained, the held-out ones are not: they stand for something that the circuit lacks.",
    Verdict.MISFIT: "The circuit cannot produce these data within the errors stated: the values' standard errors do not hold.",
    Verdict.NOT_CONVERGED: "The search stopped early: start closer, or hold values by priors.",
}
"""What each verdict means, for the reader of a report."""
UNTESTED = " Nothing was held out, so that nothing tests them."
SHOWN = 200  # points of a fitted curve


def facts_of(
    card: CircuitCalibration,
    circuit: Netlist,
    fitted: Sequence[Measurements],
    held_out: Sequence[Measurements],
    *,
    title: str,
    command: str,
    suspicions: Sequence[str] = (),
    next_measurements: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything that the report shows.

    Args:
        card: the calibration. circuit: the netlist at its starting values. fitted, held_out: the tables.
        title: of the page. command: the command line that made it.
        suspicions, next_measurements: sentences, best first.
    """
    netlist = netlist_at(circuit, card.estimates)
    tables = [_table(table, netlist, held) for group, held in ((fitted, False), (held_out, True)) for table in group]
    return {
        "title": title,
        "command": command,
        "version": card.version,
        "verdict": card.verdict.value,
        "meaning": VERDICTS[card.verdict] + ("" if card.held_out or card.verdict is not Verdict.OK else UNTESTED),
        "values": [_value(value, circuit) for value in card.values],
        "at_bound": [value.name for value in card.values if value.at_bound],
        "unidentifiable": [in_words(group) for group in card.unidentifiable],
        "alternatives": [dict(other) for other in card.alternatives],
        "inflation": card.inflation,
        "fit": _check(card.fit),
        "held_out": None if card.held_out is None else _check(card.held_out),
        "data_range": card.data_range.model_dump(mode="json"),
        "suspicions": list(suspicions),
        "next_measurements": list(next_measurements),
        "tables": tables,
        "netlist_sha256": card.netlist_sha256,
    }


def in_words(group: Any) -> str:
    """ "R1 and R23: only as their ratio" for a group of values that the data do not identify one by one."""
    names, combinations = group.values, group.identified_as
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    if len(names) == 2 and len(combinations) == 1:
        known = {
            f"{names[0]}*{names[1]}": "their product",
            f"{names[0]}/{names[1]}": "their ratio",
            f"{names[1]}/{names[0]}": "their ratio",
        }
        if combinations[0] in known:
            return f"{listed}: only as {known[combinations[0]]} ({combinations[0]})"
    return str(group)


def unit_of(name: str, circuit: Netlist) -> str:
    """SI unit of a part's value; "" of a gain."""
    return UNITS.get(type(circuit[name]), "")


def _value(value: Value, circuit: Netlist) -> dict[str, Any]:
    interval = value.interval()
    return {
        **value.model_dump(mode="json"),
        "unit": unit_of(value.name, circuit),
        "interval_95": None if interval is None or value.at_bound else list(interval),
        "text": str(value),
    }


def _check(check: Check) -> dict[str, Any]:
    worst = sorted(check.residuals, key=lambda residual: -abs(residual.value))[:5]
    return {
        "chi_squared": check.chi_squared,
        "degrees_of_freedom": check.degrees_of_freedom,
        "p_value": check.p_value,
        "scatter": check.scatter,
        "rows_outside": check.outside,
        "largest_residuals": [{"of": residual.of, "value": residual.value} for residual in worst],
        "text": str(check),
    }


def _table(table: Measurements, netlist: Netlist, held_out: bool) -> dict[str, Any]:
    """A table as series of points: one for each voltage or pair of them."""
    value = table.columns[QUANTITY[table.kind][0]]
    model, std, x = predicted_rows(netlist, table), row_errors(netlist, table), abscissa(table)
    keys = _keys(table)
    series = []
    for key in dict.fromkeys(keys):
        rows = [row for row, other in enumerate(keys) if other == key]
        order = np.array(rows)[np.argsort(x[rows], kind="stable")]
        curve_x, curve = _curve(table, netlist, order)
        series.append(
            {
                "of": key,
                "x": x[order].tolist(),
                "measured": value[order].tolist(),
                "std": std[order].tolist(),
                "fit": model[order].tolist(),
                "residual": ((value - model) / std)[order].tolist(),
                "curve_x": curve_x.tolist(),
                "curve": curve.tolist(),
            }
        )
    return {
        "name": table.source,
        "kind": table.kind,
        "rows": len(table),
        "sha256": table.sha256,
        "held_out": held_out,
        "notes": list(table.notes),
        "unit": QUANTITY_UNITS[table.kind],
        "series": series,
    }


def abscissa(table: Measurements) -> np.ndarray:
    """Time, frequency, or a band's middle (of an unlimited one its lower edge), (rows,)."""
    if table.kind in ("trace", "spectrum"):
        return np.asarray(table.columns["time_s" if table.kind == "trace" else "frequency_hz"])
    low, high = table.columns["f_lo_hz"], table.columns["f_hi_hz"]
    middle = np.where(low > 0.0, np.sqrt(low * np.where(np.isfinite(high), high, low)), high / 2)
    return np.asarray(np.where(np.isfinite(middle), middle, 0.0))


def _keys(table: Measurements) -> list[str]:
    if table.kind == "trace":
        return [str(name) for name in table.columns["node"].tolist()]
    one, two = ("node", "node_b") if table.kind == "spectrum" else ("node_a", "node_b")
    return [a if a == b else f"{a}, {b}" for a, b in zip(*(table.columns[c].tolist() for c in (one, two)), strict=True)]


def _curve(table: Measurements, netlist: Netlist, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fit between the points of one series; of bands, at the points only."""
    part = table.take(rows.tolist())
    x = abscissa(part)
    if table.kind not in ("trace", "spectrum") or len(x) < 2 or x[0] == x[-1]:
        return x, predicted_rows(netlist, part)
    trace = table.kind == "trace"
    points = np.linspace(x[0], x[-1], SHOWN) if trace else np.geomspace(x[0], x[-1], SHOWN)
    columns = {name: np.repeat(column[:1], SHOWN) for name, column in part.columns.items()}
    columns["time_s" if trace else "frequency_hz"] = points
    return points, predicted_rows(netlist, Measurements(table.kind, columns, table.source, table.sha256))
