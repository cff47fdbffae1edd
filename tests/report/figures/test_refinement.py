"""The picture of refined readings: every curve is the results', on a logarithmic axis that holds them."""

from __future__ import annotations

import numpy as np

from thermograd.report.figures.settling import refinement_plot

from ..sample_results import sample_results

SMALL = sample_results(unknowns=6, points=40)["refinement"]


def test_errors_are_drawn_die_by_die_beside_bare_readings_and_the_control() -> None:
    ax = refinement_plot(SMALL).axes[0]
    assert ax.get_yscale() == "log"
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in ax.lines]

    def shows(values: list[float]) -> bool:
        return any(len(line) == len(values) and np.allclose(line, values, rtol=1e-12) for line in drawn)

    for die in SMALL["dies"]:
        if die["kind"] == "spice":
            assert shows(die["errors"])
    assert shows([die["bare"] for die in SMALL["dies"] if die["kind"] == "spice"])
    surrogate = np.array([die["errors"] for die in SMALL["dies"] if die["kind"] == "surrogate"])
    assert shows(np.exp(np.log(surrogate).mean(axis=0)).tolist())
    assert shows(SMALL["control"])
    low, high = ax.get_ylim()
    everything = np.concatenate([[*die["errors"], die["bare"]] for die in SMALL["dies"]])
    assert low < everything.min()
    assert everything.max() < high
    assert {"ngspice, 3 dies", "surrogate, 20 dies", "CG without a die"} <= {text.get_text() for text in ax.texts}
