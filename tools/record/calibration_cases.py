"""Cases of calibration: cards from ngspice, and from synthetic measurements."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from thermograd.circuits import Capacitor, Macromodel, Netlist, Resistor, noise_spectrum
from thermograd.devicemodel import (
    Measurements,
    calibrate_from_measurements,
    calibrate_with_evidence,
    check_measurements,
    read_measurements,
)

from .inputs import system_of, technology_of
from .store import Case, Items


def calibrated(technology: str, fabric: str, macromodel: bool) -> Items:
    """A small calibration."""
    board = technology_of(technology)
    found = calibrate_with_evidence(
        board,
        fabric,
        seed=1,
        systems=[system_of(fabric, 3, seed=20 + k) for k in range(2)],
        sizes=(3, 4),
        dies=(1, 2),
        new_dies=(101,),
        workers=1,
        amplifier=Macromodel(board.opamp) if macromodel else None,
    )
    yield "card.json", found.card.model_dump(mode="json", exclude={"provenance"})
    yield "summary.json", found.card.summary()
    yield "evidence.npz", [[one.spice, one.surrogate, one.new_die, one.case.solution] for one in found.comparisons]


TRUE = {"R1": 4.7e3, "R3": 6.8e3, "C1": 22e-9, "C2": 30e-9}
"""Ohm and farad of the board that is measured."""


def two_nodes(values: Mapping[str, float]) -> Netlist:
    """The board, with some of its values replaced."""
    values, circuit = TRUE | dict(values), Netlist("two nodes", temperature=300.0)
    circuit.add(Resistor("R1", "a", "0", values["R1"]), Resistor("R2", "b", "0", 4.7e3))
    circuit.add(Resistor("R3", "a", "b", values["R3"]), Capacitor("C1", "a", "0", values["C1"]))
    circuit.add(Capacitor("C2", "b", "0", values["C2"]))
    return circuit


def laboratory() -> Items:
    """A calibration from synthetic spectra."""
    frequencies, rng = np.geomspace(200, 2e4, 14), np.random.default_rng(1)
    density = noise_spectrum(two_nodes({}), ["a", "b"], frequencies).density.real
    scatter = rng.chisquare(200, (2, 14)) / 200
    table = Measurements.of(
        "spectrum",
        frequency_hz=np.tile(frequencies, 2),
        node=np.repeat(["a", "b"], 14),
        averages=100,
        density_v2_per_hz=np.concatenate([density[:, k, k] * scatter[k] for k in range(2)]),
    )
    rest, held = table.split(5)
    start = {"R3": 9e3, "C1": 15e-9, "C2": 28e-9}
    found = calibrate_from_measurements(two_nodes, start, [rest], [held], starts=1, seed=1)
    yield "card.json", found.model_dump(mode="json")
    yield "summary.json", found.summary()
    with tempfile.TemporaryDirectory() as folder:
        held.write(Path(folder) / "held.csv")
        yield "held.csv", (Path(folder) / "held.csv").read_text(encoding="utf-8")
        yield "held.npz", dict(read_measurements(Path(folder) / "held.csv").columns)
    yield "check.json", check_measurements(found, two_nodes, [held]).model_dump(mode="json")


def cases() -> Iterator[Case]:
    """All cases of calibration."""
    yield "devices/calibrated/crossbar", calibrated, ("integrated", "crossbar", False)
    yield "devices/calibrated/crossbar_macromodel", calibrated, ("integrated", "crossbar", True)
    yield "devices/calibrated/dual_rail", calibrated, ("breadboard", "dual_rail", False)
    yield "devices/laboratory", laboratory, ()
