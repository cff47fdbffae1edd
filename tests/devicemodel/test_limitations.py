"""The table of what is not modelled is true of the devices: each figure of a technology is turned, and the readings change or do not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.errors import InputError
from thermograd.circuits.linear.noise_paths import DrawnCurrents, SlowNoise
from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.technology.parts import PROGRAMMING_ERRORS
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.circuits.technology.transistor_mismatch import TransistorMismatch
from thermograd.compiler.effects import EFFECTS
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.compiler.limitations import not_modelled
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.devices import circuit_noise
from thermograd.devicemodel.devices import spice as spice_module
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense, LowRank

DIE, DURATION = 3, 0.5
FULL = preset("integrated").replace(
    capacitors__die_to_die=0.02,
    capacitors__gradient=0.02,
    resistors__die_to_die=0.02,
    resistors__gradient=0.02,
    dac__resistance=50.0,
    dac__capacitance=1e-14,
    dac__inl=1e-3,
    dac__dnl=0.2,
    dac__full_scale=0.2,
    adc__bits=24,
    adc__inl=1e-3,
    adc__dnl=0.2,
    thermal__to_hot=3e-3,
    thermal__power=1e-4,
    opamp__output_limit=0.05,
    opamp__output_resistance=100.0,
    opamp__bias_current=1e-9,
    opamp__noise_current=1e-12,
    opamp__noise_current_corner=1e5,
)
"""Every figure that can be told beside others has a value that shows."""
TURNED: dict[str, Any] = {
    "resistors__series": {"resistors__series": "E12", "resistors__bits": None},
    "resistors__on_off": 20.0,
    "resistors__slices": 2,
    "resistors__drive_ranges": 6,
    "resistors__bits": 5,
    "resistors__tc2": 1e-4,
    "resistors__area": {"resistors__tolerance": 0.0, "resistors__pelgrom_coefficient": 1e-8, "resistors__area": 1e-12},
    "resistors__conductance_drift": {"resistors__conductance_drift": 0.2, "resistors__conductance_drift_time": 1e-9},
    "resistors__conductance_drift_spread": {
        "resistors__conductance_drift_spread": 0.2,
        "resistors__conductance_drift_time": 1e-9,
    },
    **{f"resistors__{name}": 0.03 for name in PROGRAMMING_ERRORS},
    "capacitors__area": {
        "capacitors__tolerance": 0.0,
        "capacitors__pelgrom_coefficient": 1e-8,
        "capacitors__area": 1e-12,
    },
    "opamp__transistors": {
        "opamp__offset": 0.0,
        "opamp__transistors": (TransistorMismatch(name="M1", threshold=5e-3, offset_by_threshold=1.0),),
    },
    "opamp__input_area": {
        "opamp__offset": 0.0,
        "opamp__offset_pelgrom_coefficient": 5e-9,
        "opamp__input_area": 1e-12,
    },
    "opamp__common_mode_offset": 0.2,
    "opamp__slew": 2e6,
    "opamp__output_current": 1e-8,
    "opamp__output_resistance": 1e6,
    "dac__attenuations": 6,
    "dac__attenuation_error": {"dac__attenuations": 6, "dac__attenuation_error": 0.05},
    "dac__gain_mismatch": 0.02,
    "adc__gain_mismatch": 0.02,
    "adc__bits": 12,
    "adc__max_gain": 1.0,
    "adc__bandwidth": 1e7,
    "adc__full_scale": 0.7,
    "thermal__johnson_noise": False,
    "thermal__cells": 4,
    "thermal__amplifiers_apart": True,
    "thermal__dynamic": {"thermal__dynamic": True, "thermal__ambient_time": 0.1, "thermal__between_runs": 0.1},
    "thermal__ambient_time": {"thermal__dynamic": True, "thermal__ambient_time": 1.0, "thermal__between_runs": 0.1},
    "thermal__between_runs": {"thermal__dynamic": True, "thermal__ambient_time": 0.1, "thermal__between_runs": 1.0},
    "thermal__heat_capacity": {
        "thermal__dynamic": True,
        "thermal__ambient_time": 0.1,
        "thermal__between_runs": 0.1,
        "thermal__heat_capacity": 1e-3,
    },
}
"""Changes other than three times the value, by the figure that they are of."""
TOGETHER = {
    *("resistors__pelgrom_coefficient", "capacitors__pelgrom_coefficient", "opamp__offset_pelgrom_coefficient"),
    *("resistors__conductance_drift_time", "inductors__unit"),
}
"""Figures that say nothing without another one, which is turned with them, or that active arrays have no parts for."""


def turned(figure: str) -> Technology:
    part, name = figure.split("__")
    change = TURNED.get(figure)
    if change is None:
        old = getattr(getattr(FULL, part), name)
        change = {figure: 1.2 * old if name in ("ambient", "hot_temperature") else 3.0 * old}
    return FULL.replace(**(change if isinstance(change, dict) else {figure: change}))


def system() -> tuple[Tensor, Tensor]:
    jacobian = torch.linspace(-0.8, 1.0, 12, dtype=torch.float64).reshape(3, 4) ** 2 + 0.1
    return jacobian, torch.tensor([1.0, -0.4, 0.3, 0.05], dtype=torch.float64)


def dense() -> tuple[Dense, Tensor]:
    J, b = system()
    return Dense(J.T @ J + torch.eye(4, dtype=torch.float64) / 2), b


def card_of(technology: Technology) -> DeviceCard:
    return DeviceCard.uncalibrated(technology, "crossbar")


def read(device: Any) -> Tensor:
    """Two runs, so that what ages or remembers shows."""
    A, b = dense()
    device.solve(A, b, DURATION, x0=torch.zeros(4, dtype=torch.float64))
    return torch.cat([device.solve(A, 0.9 * b, DURATION).x, device.solve(A, b / 300, DURATION).x])


def simulated(netlist: Netlist, analysis: Transient, **given: Any) -> SimpleNamespace:
    """In ngspice's place: voltages that tell any two circuits, analyses and seeds apart."""
    said = f"{netlist.elements}{netlist.temperature}{analysis}{given}".encode()
    chance = np.random.default_rng(list(hashlib.sha256(said).digest()))
    count = 3 if analysis.step is None else round(analysis.stop / analysis.step)
    # Within every range, so that one attempt is enough.
    volts = {node.lower(): np.full(count, chance.uniform(-0.01, 0.01)) for node in analysis.nodes or netlist.nodes}
    return SimpleNamespace(time=np.linspace(0, analysis.stop, count + 1)[1:], voltages=volts, ngspice_version="none")


def noise(netlist: Netlist, step: float, source: Netlist, slow: tuple[SlowNoise, ...]) -> SimpleNamespace:
    """In place of the noise's law: currents that tell any two circuits and seeds apart."""
    said = hashlib.sha256(f"{netlist.elements}{source.elements}{slow}{step}".encode()).digest()

    def draw(steps: int, generator: np.random.Generator, known: Any, waited: float) -> DrawnCurrents:
        value = np.full((1, 1), generator.uniform() + np.random.default_rng(list(said)).uniform())
        return DrawnCurrents(("p1",), step, value, {one.node: (0.0,) for one in slow})

    return SimpleNamespace(step=step, draw=draw)


def spice(technology: Technology) -> Tensor:
    return read(SpiceDevice(technology, DIE, "crossbar"))


def spice_extracted(technology: Technology) -> Tensor:
    return read(SpiceDevice(technology, DIE, "crossbar", layout=True))


def spice_macromodel(technology: Technology) -> Tensor:
    return read(SpiceDevice(technology, DIE, "crossbar", amplifier=Macromodel(technology.opamp)))


def surrogate(technology: Technology) -> Tensor:
    return read(SurrogateDevice(card_of(technology), DIE, extrapolate=True))


def surrogate_extracted(technology: Technology) -> Tensor:
    return read(SurrogateDevice(card_of(technology), DIE, layout=True, extrapolate=True))


def batch(technology: Technology) -> Tensor:
    A, b = dense()
    dies = DieBatch(card_of(technology), [DIE], extrapolate=True)
    once = [dies.solve(A, one, DURATION).x[0] for one in (b, b / 300)]
    run, start = dies.program(A, DURATION, 0), torch.zeros(1, 4, dtype=torch.float64)
    run([0], b[None], start)
    return torch.cat([*once, run([0], b[None], start)[0].x])


def cascade(technology: Technology) -> Tensor:
    J, b = system()
    device = CascadeDevice(technology, DIE)
    curvature = LowRank(J, torch.eye(3, dtype=torch.float64), 0.5)
    return torch.cat([device.solve(curvature, one, DURATION).x for one in (b, b / 300)])


MODELS: dict[tuple[str, ...], Callable[[Technology], Tensor]] = {
    ("SurrogateDevice",): surrogate,
    ("SurrogateDevice", "layout"): surrogate_extracted,
    ("DieBatch",): batch,
    ("CascadeDevice",): cascade,
    ("SpiceDevice",): spice,
    ("SpiceDevice", "layout"): spice_extracted,
    ("SpiceDevice", "macromodel"): spice_macromodel,
}
FIGURES = [
    (effect, figure)
    for effect in EFFECTS
    for figure in effect.figures
    if figure not in TOGETHER and effect.needs != "inductors"
]


OF_NOISE_ALONE = {("CascadeDevice", "opamp__gbw"), ("CascadeDevice", "opamp__second_pole")}
"""Heeded in what is read of the amplifiers' noise, and nowhere else."""


@pytest.fixture(autouse=True)
def _without_ngspice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spice_module, "run", simulated)
    monkeypatch.setattr(circuit_noise, "noise_path", noise)


@pytest.mark.parametrize("model", MODELS, ids=" ".join)
def test_a_device_heeds_each_figure_as_the_table_says(model: tuple[str, ...]) -> None:
    (name, *options), before = model, MODELS[model](FULL)
    assert torch.isfinite(before).all()
    wrong = []
    for effect, figure in FIGURES:
        heeded = is_heeded(model, figure, before)
        if (name, figure) in OF_NOISE_ALONE:
            continue
        if heeded != effect.is_modelled(name, *options):
            wrong.append((figure, heeded))
    assert wrong == []


def test_figures_of_inductors_are_heeded_where_there_are_any() -> None:
    base = {"inductors__tolerance": 0.01, "inductors__die_to_die": 0.02, "inductors__gradient": 0.02}
    area = {"inductors__tolerance": 0.0, "inductors__pelgrom_coefficient": 1e-8, "inductors__area": 1e-12}
    changes: list[dict[str, Any]] = [
        area,
        *({name: 3 * value} for name, value in base.items()),
        {"inductors__unit": 2e-3},
    ]
    A, b = Dense(torch.eye(3, dtype=torch.float64) - 0.2), torch.ones(3, dtype=torch.float64)

    def seen(change: dict[str, Any]) -> Tensor:
        card = DeviceCard.uncalibrated(FULL.replace(**base).replace(**change), "lc")
        return SurrogateDevice(card, DIE, extrapolate=True).solve(A, b, DURATION).x

    before, others = seen({}), [seen(one) for one in changes]
    assert torch.equal(before, seen({}))
    assert all(torch.isfinite(one).all() and not torch.equal(one, before) for one in others)


@pytest.mark.parametrize(("name", "figure"), sorted(OF_NOISE_ALONE))
def test_what_only_noise_heeds_is_not_heeded_without_it(name: str, figure: str) -> None:
    quiet = {"opamp__noise_voltage": 0.0, "opamp__noise_current": 0.0}
    assert is_heeded((name,), figure, MODELS[(name,)](FULL))
    readings = [MODELS[(name,)](technology.replace(**quiet)) for technology in (FULL, turned(figure))]
    assert torch.equal(*readings)


def is_heeded(model: tuple[str, ...], figure: str, before: Tensor) -> bool:
    technology = turned(figure)
    try:
        after = MODELS[model](technology)
    except InputError:
        return False  # rejected, not left out in silence
    assert torch.isfinite(after).all(), figure
    return not torch.equal(before, after)


def test_the_solution_names_what_its_device_leaves_out() -> None:
    A, b = dense()
    card = card_of(FULL)
    plain, laid_out = (SurrogateDevice(card, DIE, layout=layout, extrapolate=True) for layout in (False, True))
    assert "slew rate of amplifiers" in plain.solve(A, b, DURATION).not_modelled
    assert "wires, switches and parasitic capacitances" in plain.solve(A, b, DURATION).not_modelled
    refined = Refined(laid_out).solve(A, b, DURATION)
    assert "wires, switches and parasitic capacitances" not in refined.not_modelled
    assert "slew rate of amplifiers" in refined.not_modelled
    assert DieBatch(card, [DIE], extrapolate=True).solve(A, b, DURATION).not_modelled == not_modelled(
        "DieBatch", fabric_named("crossbar")
    )
    assert len(IdealDevice().solve(A, b, DURATION).not_modelled) == len(EFFECTS)
