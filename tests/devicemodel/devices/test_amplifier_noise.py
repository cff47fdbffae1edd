"""Noise of amplifiers in the law of the cells, against the macromodel's netlist (state space, `.noise` of ngspice), and read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.errors import InputError
from thermograd.circuits.linear.statespace import StateSpace, state_space
from thermograd.circuits.netlist.analyses import Noise
from thermograd.circuits.netlist.elements import VCVS, Capacitor, Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.layout.extraction import extract_layout
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices import dense_law
from thermograd.devicemodel.devices.cell_coefficients import extracted, schematic
from thermograd.devicemodel.devices.cell_law import cell_law, force, propagate
from thermograd.devicemodel.devices.dense_law import DenseLaw
from thermograd.devicemodel.devices.krylov_law import KrylovLaw
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

from ...systems import spd, true_card

LINEAR: dict[str, Any] = {
    "opamp__slew": math.inf,
    "opamp__output_resistance": 0.0,
    "opamp__output_current": math.inf,
    "opamp__bias_current": 0.0,
    "opamp__common_mode_gain": math.inf,
    "opamp__common_mode_gbw": math.inf,
    "opamp__noise_voltage_corner": 0.0,
    "resistors__tolerance": 0.0,
    "resistors__bits": None,
    "resistors__series": None,
    "capacitors__tolerance": 0.0,
}
"""Amplifiers without limits, whose white noise is theirs alone; parts without mismatch, which the rails' law has in second order only."""
CIRCUITS = {
    "integrated": ("crossbar", preset("integrated").replace(**LINEAR)),
    "breadboard": ("crossbar_single", preset("breadboard").replace(**LINEAR)),
    "currents": ("crossbar", preset("integrated").replace(**LINEAR, opamp__noise_current=2e-12)),
    "currents single": ("crossbar_single", preset("breadboard").replace(**LINEAR, opamp__noise_current=3e-11)),
}


def program_of(name: str, n: int, **changes: Any) -> tuple[AnalogProgram, DeviceCard]:
    fabric, technology = CIRCUITS[name]
    technology = technology.replace(**changes)
    a = np.eye(1) if n == 1 else spd(n, 20.0, 2)
    pole = 1 / (2 * math.pi * technology.opamp.second_pole)
    return lay_out(a, fabric, technology).on(Die(technology, 3)), true_card(technology, fabric, pole=pole)


def netlist_of(program: AnalogProgram, bandwidth: float = math.inf, layout: bool = False) -> tuple[Netlist, list[Any]]:
    """With the noisy macromodel, and what is read of it: the cells, or samplers of one pole behind them."""
    zero = np.zeros(program.size)
    netlist = program.circuit(zero, zero, Macromodel(program.technology.opamp))
    netlist = (extract_layout(netlist, program) if layout else netlist).linearised()
    read: list[Any] = [tuple(pair) for pair in program.readouts]
    if math.isfinite(bandwidth):
        for k, (plus, minus) in enumerate(read):
            netlist.add(
                VCVS(f"ES{k}", f"buf{k}", "0", plus, minus, 1.0),
                Resistor(f"RS{k}", f"buf{k}", f"smp{k}", 1e3, noisy=False),
                Capacitor(f"CS{k}", f"smp{k}", "0", 1 / (2 * math.pi * bandwidth * 1e3)),
            )
        read = [(f"smp{k}", "0") for k in range(program.size)]
    return netlist, read


def space_of(program: AnalogProgram, bandwidth: float = math.inf, layout: bool = False) -> StateSpace:
    netlist, read = netlist_of(program, bandwidth, layout)
    return state_space(netlist, {f"x{k}": pair for k, pair in enumerate(read)})


def off(found: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Relative deviation of variances, and the largest of x^T found x from x^T wanted x over all x."""
    ratio = np.abs(np.diag(found) / np.diag(wanted) - 1).max()
    return float(ratio), float(np.abs(scipy.linalg.eigh(found, wanted, eigvals_only=True) - 1).max())


class Drawn:
    """In the place of normal numbers: each of them is one in turn, so that draws give the root of a covariance."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self._shapes: list[tuple[int, ...]] = []
        self._calls: dict[int, int] = {}
        self._patch, self._module = monkeypatch, module

    def covariance(self, law: DenseLaw | KrylovLaw, n: int, duration: float, slow: bool = False) -> np.ndarray:
        """Of what is read, or goes on, after a run from a known state; without 1/f noise."""
        none = torch.zeros(1, n, dtype=torch.float64)
        self._patch.setattr(self._module, "normal", self._noted)
        law.advance(law.begin(none, none, True), none, duration, [None])  # type: ignore[list-item]
        self._patch.setattr(self._module, "normal", self._one)
        count = sum(math.prod(shape) for shape in self._shapes)
        none = torch.zeros(count, n, dtype=torch.float64)
        motion = law.advance(law.begin(none, none, True), none, duration, range(count))  # type: ignore[arg-type]
        assert motion is not None
        root = (law.left if slow else law.read)(motion)
        return (root.T @ root).numpy()

    def _noted(self, shape: tuple[int, ...], generator: None, like: torch.Tensor) -> torch.Tensor:
        self._shapes.append(tuple(shape))
        return torch.zeros(shape, dtype=torch.float64)

    def _one(self, shape: tuple[int, ...], place: int, like: torch.Tensor) -> torch.Tensor:
        call = self._calls[place] = self._calls.get(place, -1) + 1
        found, begin = torch.zeros(math.prod(shape), dtype=torch.float64), sum(map(math.prod, self._shapes[:call]))
        if begin <= place < begin + len(found):
            found[place - begin] = 1.0
        return found.reshape(shape)


# White noise


@pytest.mark.parametrize("n", [1, 4, 8])
@pytest.mark.parametrize("name", CIRCUITS)
def test_the_covariance_at_rest_is_the_netlists(name: str, n: int) -> None:
    program, card = program_of(name, n)
    zero, truth = np.zeros(n), space_of(program).covariance()
    _, found = propagate(program, zero, zero, math.inf, card, noisy=True)
    assert found is not None
    variances, worst = off(found.numpy(), truth)
    assert variances < 2e-4
    # Single-ended what inverters pass on of their cells' direct noise is right to first order only.
    assert worst < (2e-4 if program.fabric.name == "crossbar" else 0.01)
    # Negative controls: the law without them, and 1 % more of it.
    _, old = propagate(program, zero, zero, math.inf, card, noisy=True, amplifiers=False)
    assert old is not None
    assert off(old.numpy(), truth)[0] > 0.5
    assert off(1.01 * found.numpy(), truth)[0] > 5e-3


@pytest.mark.parametrize(("name", "microvolts", "silent"), [("integrated", 146.2, 40.7), ("breadboard", 39.29, 0.91)])
def test_one_cell_in_ngspice(name: str, microvolts: float, silent: float) -> None:
    program, card = program_of(name, 1)
    netlist, _ = netlist_of(program)
    source = next(element.name.lower() for element in netlist if element.name.startswith("VB1"))
    ((plus, minus),) = program.readouts
    found = run(netlist, Noise(plus if minus == "0" else (plus, minus), source, 1.0, 1e12, points_per_decade=100))
    assert 1e6 * found.total == pytest.approx(microvolts, rel=2e-3)
    zero = np.zeros(1)
    for amplifiers, wanted in ((True, microvolts), (False, silent)):
        _, law = propagate(program, zero, zero, math.inf, card, noisy=True, amplifiers=amplifiers)
        assert law is not None
        assert 1e6 * math.sqrt(float(law)) == pytest.approx(wanted, rel=6e-3)


@pytest.mark.parametrize("name", ["integrated", "breadboard"])
def test_one_factor_scales_all_noise(name: str) -> None:
    program, card = program_of(name, 4)
    zero = np.zeros(4)
    one, two = (
        propagate(program, zero, zero, 3.0, card.replace(noise_power=power), noisy=True)[1] for power in (1.0, 2.0)
    )
    assert one is not None
    assert two is not None
    torch.testing.assert_close(two, 2 * one)


def test_the_layouts_noise_is_that_of_the_extracted_netlist() -> None:
    program, card = program_of("integrated", 5)
    truth = space_of(program, layout=True).covariance()
    zero = np.zeros(5)
    found = [
        DenseLaw(cell_law(program, zero, card, one(program)), one(program), program.tau, True)
        for one in (extracted, schematic)
    ]
    with pytest.MonkeyPatch.context() as patch:
        wired, plain = (Drawn(patch, dense_law).covariance(law, 5, math.inf) for law in found)
    assert off(wired, truth)[0] < 2e-3
    assert off(plain, truth)[0] > 4e-3


def test_noise_of_infinite_bandwidth_is_rejected() -> None:
    ideal = preset("ideal").replace(opamp__noise_voltage=1e-8, thermal__johnson_noise=True)
    system, b = Dense(torch.eye(2, dtype=torch.float64)), torch.ones(2, dtype=torch.float64)
    with pytest.raises(InputError, match=r"infinite gain-bandwidth product.*give opamp.gbw, or adc.bandwidth"):
        SurrogateDevice(true_card(ideal), None).solve(system, b, 1.0)
    SurrogateDevice(true_card(ideal.replace(adc__bandwidth=1e6)), None).solve(system, b, 1.0)
    # A card of amplifiers that respond at once, of a technology that has a bandwidth.
    known = ideal.replace(opamp__gbw=1e8)
    program = lay_out(np.eye(1), "crossbar", known)
    zero = np.zeros(1)
    fast, slow = (
        propagate(program, zero, zero, math.inf, true_card(known, lag=lag), noisy=True)[1]
        for lag in (0.0, 1 / (2e8 * math.pi))
    )
    assert fast is not None
    assert slow is not None
    assert float(fast) == pytest.approx(float(slow), rel=0.02)


# The sampler


@pytest.mark.parametrize("share", [1.0, 0.05, None, 0.002])
@pytest.mark.parametrize("name", ["integrated", "breadboard"])
def test_a_sampler_sees_the_noise_of_its_bandwidth(
    name: str, share: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shares of the gain-bandwidth product; None is the bandwidth of a cell, 1 / (2 pi tau)."""
    n = 4
    program, card = program_of(name, n)
    bandwidth = 1 / (2 * math.pi * program.tau) if share is None else share * program.technology.opamp.gbw
    law = cell_law(program, np.zeros(n), card)
    found = Drawn(monkeypatch, dense_law).covariance(
        DenseLaw(law, schematic(program), program.tau, True, bandwidth), n, math.inf
    )
    truth = space_of(program, bandwidth).covariance()
    assert off(found, truth)[0] < 5e-3
    # Negative control: a bandwidth that is 10 % off.
    wider = DenseLaw(law, schematic(program), program.tau, True, 1.2 * bandwidth)
    assert off(Drawn(monkeypatch, dense_law).covariance(wider, n, math.inf), truth)[0] > 1e-2


@pytest.mark.parametrize("duration", [0.3, 2.0, math.inf])
def test_a_sampler_lags(duration: float) -> None:
    n, rng = 4, np.random.default_rng(1)
    program, card = program_of("integrated", n)
    bandwidth, start = 1 / (2 * math.pi * program.tau), rng.uniform(-0.1, 0.1, n)
    currents = rng.uniform(-0.3, 0.3, n) * program.parts.drive_nominal
    netlist = program.circuit(currents, start, Macromodel(program.technology.opamp)).linearised()
    for k, (plus, minus) in enumerate(program.readouts):
        netlist.add(
            VCVS(f"ES{k}", f"buf{k}", "0", plus, minus, 1.0),
            Resistor(f"RS{k}", f"buf{k}", f"smp{k}", 1e3, noisy=False),
            Capacitor(f"CS{k}", f"smp{k}", "0", 1 / (2 * math.pi * bandwidth * 1e3), initial=float(start[k])),
        )
    space = state_space(netlist, {f"x{k}": (f"smp{k}", "0") for k in range(n)})
    truth = space.equilibrium() if math.isinf(duration) else space.transition(duration * program.tau)
    cells = schematic(program)
    law = DenseLaw(cell_law(program, np.zeros(n), card), cells, program.tau, False, bandwidth)
    forces = torch.from_numpy(force(program, currents[None], card, cells))
    begun = law.begin(torch.from_numpy(start[None]), forces, True)
    motion = law.advance(begun, forces, duration)
    assert motion is not None
    assert np.linalg.norm(law.read(motion)[0].numpy() - truth) < 2e-5 * np.linalg.norm(truth)
    if math.isfinite(duration):
        # Negative control: the cells themselves are ahead.
        assert np.linalg.norm(law.left(motion)[0].numpy() - truth) > 1e-2 * np.linalg.norm(truth)


# 1/f noise


def readings_law(
    law: DenseLaw, n: int, spans: list[float], rates: np.ndarray, tau: float, patch: pytest.MonkeyPatch
) -> np.ndarray:
    """Covariance of readings at the ends of spans from rest, (spans n, spans n), 1/f noise in it."""
    kinds, k = rates.shape
    white: list[torch.Tensor] = []
    drawn = Drawn(patch, dense_law)
    none = torch.zeros(1, n, dtype=torch.float64)

    def map_of(motion: Any, rows: int, sections: list[torch.Tensor], generators: Any) -> torch.Tensor:
        seen = []
        nothing = torch.zeros(rows, n, dtype=torch.float64)
        for span, at in zip(spans, sections, strict=True):
            motion = law.advance(motion, nothing, span, generators, at)
            seen.append(law.read(motion))
        return torch.cat(seen, dim=1)

    still = torch.zeros(1, kinds, k, n, dtype=torch.float64)
    patch.setattr(dense_law, "normal", drawn._noted)
    map_of(law.begin(none, none, True, still), 1, [still] * len(spans), [None])
    count = sum(math.prod(shape) for shape in drawn._shapes)
    still = torch.zeros(count, kinds, k, n, dtype=torch.float64)
    patch.setattr(dense_law, "normal", drawn._one)
    begun = law.begin(
        torch.zeros(count, n, dtype=torch.float64), torch.zeros(count, n, dtype=torch.float64), True, still
    )
    white.append(map_of(begun, count, [still] * len(spans), range(count)))
    # The sections' own normal numbers: where they start, and one for each span.
    size = kinds * k * n
    state = torch.zeros(size * (len(spans) + 1), size, dtype=torch.float64)
    state[:size] = torch.eye(size)
    path, flat = [state], np.repeat(rates.ravel(), n) * tau
    for place, span in enumerate(spans, start=1):
        left = torch.from_numpy(np.exp(-flat * span))
        state = state * left
        state[place * size : (place + 1) * size] = torch.diag(torch.sqrt(1 - left**2))
        path.append(state)
    shaped = [one.reshape(-1, kinds, k, n) for one in path]
    nothing = torch.zeros(len(state), n, dtype=torch.float64)
    # At rest with what the sections are: from far in the past.
    white.append(map_of(law.begin(nothing, nothing, True, shaped[0]), len(state), shaped[1:], ()))
    return sum((part.T @ part for part in white), torch.zeros(())).numpy()


@pytest.mark.parametrize("name", ["integrated", "currents single"])
def test_flicker_noise_of_two_readings_is_the_netlists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reading is far behind the start; the second so near to it that both share most of the 1/f noise."""
    n, corner = 2, {"integrated": 3e7, "currents single": 3e5}[name]
    changes = {
        "opamp__noise_voltage_corner": corner,
        "opamp__noise_current_corner": corner if "currents" in name else 0.0,
    }
    program, card = program_of(name, n, **changes)
    spans = [3000.0, 2.0]
    law = cell_law(program, np.zeros(n), card)
    rates = np.stack([one.rates.numpy() for one in law.sections])
    dense = DenseLaw(law, schematic(program), program.tau, True)
    found = readings_law(dense, n, spans, rates, program.tau, monkeypatch)
    space = space_of(program)
    states = space.state_covariance()
    later = space.H @ scipy.linalg.expm(space.F * spans[1] * program.tau) @ states @ space.H.T
    rest = space.H @ states @ space.H.T
    truth = np.block([[rest, later.T], [later, rest]])
    scale = np.sqrt(np.outer(np.diag(truth), np.diag(truth)))
    assert np.abs(found - truth).max() < 5e-3 * np.abs(scale).max()
    assert off(found, truth)[0] < 5e-3
    # Negative controls: white noise alone, and readings that share nothing.
    plain = DenseLaw(law._replace(sections=()), schematic(program), program.tau, True)
    with pytest.MonkeyPatch.context() as patch:
        assert off(Drawn(patch, dense_law).covariance(plain, n, math.inf), rest)[0] > 0.1
    assert np.abs(later).max() > 0.1 * np.abs(rest).max()
