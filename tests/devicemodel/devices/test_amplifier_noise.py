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
from thermograd.devicemodel.devices import dense_law, krylov_law, krylov_runs
from thermograd.devicemodel.devices.cell_coefficients import extracted, schematic
from thermograd.devicemodel.devices.cell_law import cell_law, force, propagate
from thermograd.devicemodel.devices.dense_law import DenseLaw
from thermograd.devicemodel.devices.flicker import Flicker
from thermograd.devicemodel.devices.krylov_runs import KrylovRuns
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.readout import ReadOut
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


def silenced(card: DeviceCard) -> DeviceCard:
    """As the law was without amplifiers' noise."""
    return card.replace(technology=card.technology.replace(opamp__noise_voltage=0.0, opamp__noise_current=0.0))


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

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: Any) -> None:
        self._shapes: list[tuple[int, ...]] = []
        self._calls: dict[int, int] = {}
        self._patch, self._modules = monkeypatch, modules

    def noted(self) -> None:
        for module in self._modules:
            self._patch.setattr(module, "normal", self._noted)

    def one(self) -> None:
        for module in self._modules:
            self._patch.setattr(module, "normal", self._one)

    def covariance(self, law: DenseLaw | KrylovRuns, n: int, duration: float, slow: bool = False) -> np.ndarray:
        """Of what is read, or goes on, after a run from a known state; without 1/f noise."""
        none = torch.zeros(1, n, dtype=torch.float64)
        self.noted()
        law.advance(law.begin(none, none, True), none, duration, [None])  # type: ignore[list-item]
        self.one()
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
    _, old = propagate(program, zero, zero, math.inf, silenced(card), noisy=True)
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
        _, law = propagate(program, zero, zero, math.inf, card if amplifiers else silenced(card), noisy=True)
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
    drawn.noted()
    map_of(law.begin(none, none, True, still), 1, [still] * len(spans), [None])
    count = sum(math.prod(shape) for shape in drawn._shapes)
    still = torch.zeros(count, kinds, k, n, dtype=torch.float64)
    drawn.one()
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


# Readings of the device

EXACT = {"adc__bits": None, "dac__bits": None, "adc__noise": 0.0}
SYSTEM = Dense(torch.tensor(spd(3, 20.0, 2)))
B = torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64)
CORNERS = {"integrated": 3e7, "breadboard": 3e5}


def device_of(name: str, read_out: ReadOut | None = None, seed: int = 0, **changes: Any) -> SurrogateDevice:
    fabric, technology = CIRCUITS[name]
    technology = technology.replace(**EXACT, **changes)
    pole = 1 / (2 * math.pi * technology.opamp.second_pole)
    return SurrogateDevice(true_card(technology, fabric, pole=pole), 3, seed, read_out)


def misfit(deviations: np.ndarray, covariance: np.ndarray) -> float:
    """Of the mean square of whitened deviations, (runs, n), from one, in standard errors."""
    white = np.linalg.solve(np.linalg.cholesky(covariance), deviations.T)
    return float((np.mean(white**2) - 1) / math.sqrt(2 / white.size))


def settled(device: SurrogateDevice) -> np.ndarray:
    """What the ADC had before it, (n,) V; less what a run without drive showed."""
    device.solve(SYSTEM, B, 30.0, x0=torch.zeros_like(B))
    probe = device.probe
    assert probe is not None
    return probe.read if probe.zero is None else probe.read - probe.zero


def silent(device: SurrogateDevice) -> np.ndarray:
    """The same without noise."""
    card = device.card.replace(noise_power=0.0)
    return settled(SurrogateDevice(card, 3, read_out=device.read_out))


@pytest.mark.parametrize("name", ["integrated", "breadboard"])
def test_readings_have_the_laws_variance(name: str) -> None:
    device = device_of(name)
    off_mean = np.array([settled(device) for _ in range(400)]) - silent(device)
    assert device.program is not None
    truth, zero = space_of(device.program).covariance(), np.zeros(3)
    _, old = propagate(device.program, zero, zero, 30.0, silenced(device.card), noisy=True)
    assert old is not None
    assert abs(misfit(off_mean, truth)) < 4
    # Negative controls: 30 % more noise, and the law without the amplifiers'.
    assert misfit(off_mean, 1.3 * truth) < -4
    assert misfit(off_mean, old.numpy()) > 20


@pytest.mark.parametrize("read_out", [ReadOut(reads=12, interval=0.5), ReadOut(auto_zero=True)])
@pytest.mark.parametrize("name", ["integrated", pytest.param("breadboard", marks=pytest.mark.slow)])
def test_flicker_noise_is_what_averages_and_auto_zero_leave_of_it(name: str, read_out: ReadOut) -> None:
    corner = {"opamp__noise_voltage_corner": CORNERS[name]}
    device = device_of(name, read_out, **corner)
    ends = []
    for _ in range(300):
        # 1/f noise is for the most part common to runs that follow at once.
        device.idle(10.0)
        ends.append(settled(device))
    off_mean = np.array(ends) - silent(device)
    program = device.program
    assert program is not None
    with_zero = read_out.auto_zero

    def law(corner: dict[str, float]) -> np.ndarray:
        technology = program.technology.replace(**corner)
        plain = lay_out(SYSTEM.A.numpy(), program.fabric.name, technology).on(Die(technology, 3))
        space = space_of(plain)
        states = space.state_covariance()
        lags = [30.0] if with_zero else [0.5 * k for k in range(1, read_out.reads)]
        apart = [space.H @ scipy.linalg.expm(space.F * lag * program.tau) @ states @ space.H.T for lag in lags]
        rest, both = space.H @ states @ space.H.T, [one + one.T for one in apart]
        if with_zero:
            # Cells have forgotten the first run, and the sections have not.
            return np.asarray(2 * rest - both[0])
        weights = [(read_out.reads - k) * one for k, one in enumerate(both, start=1)]
        return np.asarray((read_out.reads * rest + sum(weights)) / read_out.reads**2)

    assert abs(misfit(off_mean, law({}))) < 4
    # Negative controls: white noise alone; and 1/f noise that each reading has of its own.
    assert misfit(off_mean, law({"opamp__noise_voltage_corner": 0.0})) > 4
    alone = space_of(program).covariance() * (2 if with_zero else 1 / read_out.reads)
    assert abs(misfit(off_mean, alone)) > 4


def test_a_state_resumes_its_flicker_noise_bit_for_bit() -> None:
    device = device_of("integrated", opamp__noise_voltage_corner=1e6)
    for _ in range(3):
        device.solve(SYSTEM, B, 5.0)
    device.idle(1e-6)
    kept = device.state_dict()
    assert kept["elapsed"] == 1e-6
    ahead = [device.solve(SYSTEM, B, 5.0).x for _ in range(3)]
    again = device_of("integrated", opamp__noise_voltage_corner=1e6)
    again.load_state_dict(kept)
    assert all(torch.equal(again.solve(SYSTEM, B, 5.0).x, one) for one in ahead)
    # Negative control: the sections are part of it.
    other = device_of("integrated", opamp__noise_voltage_corner=1e6)
    other.load_state_dict(kept | {"flicker": None})
    assert not torch.equal(other.solve(SYSTEM, B, 5.0).x, ahead[0])
    for wrong, said in (
        ({"flicker": torch.zeros(2)}, r"state\['flicker'\] is \(2,\): give a tensor of shape \(1, 15\)"),
        ({"flicker": torch.full((1, 15, 3), math.nan)}, "not finite"),
        ({"elapsed": -1.0}, r"state\['elapsed'\] is -1"),
    ):
        with pytest.raises(InputError, match=said):
            again.load_state_dict(kept | wrong)
    with pytest.raises(InputError, match="state lacks flicker, elapsed"):
        again.load_state_dict({key: value for key, value in kept.items() if key not in ("flicker", "elapsed")})


@pytest.mark.parametrize("auto_zero", [False, True])
def test_runs_at_once_are_those_one_after_another(auto_zero: bool) -> None:
    read_out, rows = ReadOut(auto_zero=auto_zero), torch.stack([B, -B, 0.3 * B, B, 0.9 * B])
    first, second = (device_of("integrated", read_out, opamp__noise_voltage_corner=1e8) for _ in range(2))
    starts = torch.zeros_like(rows)
    alone = [first.solve(SYSTEM, row, 4.0, x0=start).x for row, start in zip(rows, starts, strict=True)]
    together = [one.x for one in second.solve_many(SYSTEM, rows, 4.0, x0=starts)]
    torch.testing.assert_close(torch.stack(together), torch.stack(alone), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(first.state_dict()["flicker"], second.state_dict()["flicker"], rtol=0, atol=0)


def test_sections_are_stationary_and_forget_at_their_rates() -> None:
    rates, cells = np.array([[1e2, 1e4, 1e6]]), 4000
    flicker = Flicker(rates, [1])
    path = flicker.run(0, cells, [1e-4, 3e-4], 5)
    assert path.shape == (3, 1, 3, cells)
    bound = 4 / math.sqrt(cells)
    np.testing.assert_allclose((path**2).mean(axis=-1), 1.0, atol=1.5 * bound)
    left = np.exp(-rates[0] * 1e-4)
    np.testing.assert_allclose((path[0] * path[1]).mean(axis=-1)[0], left, atol=bound)
    # A run that is not laid out is forgotten; one that is goes on.
    np.testing.assert_array_equal(flicker.run(0, cells, [1e-4], 5)[0], path[0])
    flicker.begin(cells, [[7]], [1e-4], 0.0, [3])
    ended = flicker.run(0, cells, [1e-4], 7)[-1]
    assert flicker.commit()
    np.testing.assert_array_equal(flicker.run(0, 3, [1e-4], 9)[0], ended[..., :3])
    # More cells than before: those that were used are as they were.
    np.testing.assert_array_equal(flicker.run(0, cells + 5, [1e-4], 9)[0][..., :cells], ended)


def test_drives_that_are_tried_again_cost_the_sections_time() -> None:
    """A run that had to be repeated ends later than one that had not."""
    flicker = Flicker(np.array([[1e3]]), [1])
    flicker.begin(2, [[7], [8]], [1e-3], 0.0, [3])
    flicker.run(0, 2, [1e-3], 7)
    flicker.run(0, 2, [1e-3], 17)
    assert not flicker.commit()


# Large programs


@pytest.mark.parametrize("duration", [0.5, 20.0, math.inf])
@pytest.mark.parametrize("name", ["integrated", "breadboard", "currents", "currents single"])
def test_large_programs_have_the_same_noise(name: str, duration: float, monkeypatch: pytest.MonkeyPatch) -> None:
    n = 24
    program, card = program_of(name, n)
    law = cell_law(program, np.zeros(n), card)
    written, found = (
        DenseLaw(law, schematic(program), program.tau, True),
        KrylovRuns(program, card, schematic(program), True),
    )
    wanted = Drawn(monkeypatch, dense_law).covariance(written, n, duration)
    read = Drawn(monkeypatch, krylov_law, krylov_runs).covariance(found, n, duration)
    variances, worst = off(read, wanted)
    assert variances < 5e-3
    assert worst < 0.01
    # Negative control: without the direct noise.
    slow = Drawn(monkeypatch, krylov_law, krylov_runs).covariance(
        KrylovRuns(program, card, schematic(program), True), n, duration, slow=True
    )
    assert off(slow, wanted)[0] > 0.1


@pytest.mark.parametrize(("duration", "share"), [(1.0, 0.5), (math.inf, 0.5), (0.5, 0.002), (math.inf, 0.002)])
@pytest.mark.parametrize("name", ["integrated", "breadboard"])
def test_large_programs_are_seen_by_the_same_sampler(
    name: str, duration: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bandwidths as shares of the gain-bandwidth product: beyond the array's, and about that of its cells."""
    n, rng = 24, np.random.default_rng(2)
    program, card = program_of(name, n)
    bandwidth, cells = share * program.technology.opamp.gbw, schematic(program)
    written = DenseLaw(cell_law(program, np.zeros(n), card), cells, program.tau, True, bandwidth)
    found = KrylovRuns(program, card, cells, True, bandwidth)
    starts = torch.from_numpy(rng.uniform(-0.1, 0.1, (2, n)))
    forces = torch.from_numpy(force(program, rng.uniform(-1e-5, 1e-5, (2, n)), card, cells))
    ends = []
    for law in (written, found):
        motion = law.advance(law.begin(starts, forces, True), forces, duration)
        assert motion is not None
        ends.append(torch.cat([law.read(motion), law.left(motion)]))
    assert float((ends[1] - ends[0]).norm() / ends[0].norm()) < 1e-9
    truth = Drawn(monkeypatch, dense_law).covariance(written, n, duration)
    seen = Drawn(monkeypatch, krylov_law, krylov_runs).covariance(found, n, duration)
    variances, worst = off(seen, truth)
    assert variances < 0.01
    assert worst < 0.02
    # Negative control: a sampler of another bandwidth.
    other = KrylovRuns(program, card, cells, True, 0.8 * bandwidth)
    assert off(Drawn(monkeypatch, krylov_law, krylov_runs).covariance(other, n, duration), truth)[0] > 0.03


@pytest.mark.parametrize("duration", [2.0, pytest.param(math.inf, marks=pytest.mark.slow)])
def test_large_programs_have_the_same_flicker_noise(duration: float) -> None:
    n, draws = 4, 120
    corner = {"opamp__noise_voltage_corner": 3e7, "opamp__noise_current_corner": 3e7}
    program, card = program_of("currents", n, **corner)
    law = cell_law(program, np.zeros(n), card)
    law = law._replace(voltage=None, diffusion=0 * law.diffusion)
    written = DenseLaw(law, schematic(program), program.tau, True)
    found = KrylovRuns(program, card, schematic(program), True)
    rng = torch.Generator().manual_seed(3)
    ends = [torch.randn(1, 2, 15, n, generator=rng, dtype=torch.float64).expand(draws, -1, -1, -1) for _ in range(2)]
    chances = [torch.Generator().manual_seed(k) for k in range(draws)]
    seen = found._flickered(ends[0], ends[1], duration, chances)
    span = written._span(duration)
    assert span is not None
    assert span.root is not None
    mean = ends[0][0].flatten() @ span.carried.T + ends[1][0].flatten() @ span.arrived.T
    spread = (span.root @ span.root.T).numpy()
    deviations = (seen - mean).numpy()
    scale, bound = np.sqrt(np.diag(spread)), 4 / math.sqrt(draws) + 0.05
    assert np.abs(deviations.mean(axis=0) / scale).max() < bound
    assert abs(misfit(deviations, spread)) < 4
    # Negative controls: means that know of one end alone, and as much noise again.
    for half in (ends[0][0].flatten() @ span.carried.T, ends[1][0].flatten() @ span.arrived.T):
        assert np.abs((seen - half).numpy().mean(axis=0) / scale).max() > (bound if duration < 10 else 0)
    assert abs(misfit(deviations, 2 * spread)) > 4
