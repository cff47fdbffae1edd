"""Cards of measured boards as devices: the board's own law, other boards, files, and what is no card."""

import math

import numpy as np
import pytest
import torch

import thermograd as tg
from thermograd.circuits import Capacitor, Netlist, Resistor, VoltageSource
from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler import compile_matrix
from thermograd.devicemodel import (
    CircuitCalibration,
    DeviceCard,
    LaboratoryCard,
    Measurements,
    Prior,
    SpiceDevice,
    SurrogateDevice,
    as_device,
    calibrate_from_measurements,
    read_card,
)
from thermograd.devicemodel.laboratory.measured_die import MeasuredDie
from thermograd.devicemodel.laboratory.part_places import part_places, values_of
from thermograd.optim.training.device_choice import DeviceChoice

R, LINK, C = 1e3, 2e3, 1e-8
TRUE = {"R1": 1.02e3, "R2": 0.985e3, "RC": 2.05e3}


def board(values=None):
    """Two nodes, each with a resistor to its source; values by name."""
    found = {"R1": R, "R2": R, "RC": LINK} | (values or {})
    net = Netlist("two nodes", temperature=300.0)
    for i in ("1", "2"):
        net.add(VoltageSource(f"V{i}", f"in{i}", "0", dc=1.0 if i == "1" else 0.3))
        net.add(Resistor(f"R{i}", f"in{i}", f"n{i}", found[f"R{i}"]))
        net.add(Capacitor(f"C{i}", f"n{i}", "0", C, initial=0.0))
    net.add(Resistor("RC", "n1", "n2", found["RC"]))
    return net


def conductances(values):
    g = np.diag([1 / values["R1"], 1 / values["R2"]]) + np.array([[1, -1], [-1, 1]]) / values["RC"]
    return g, np.diag([1 / values["R1"], 1 / values["R2"]])


def fit(seed=0, std=1e-5):
    """From a step, by the exact response."""
    g, inputs = conductances(TRUE)
    rates, modes = np.linalg.eigh(g / C)
    end = np.linalg.solve(g, inputs @ [1.0, 0.3])
    times = np.linspace(1e-6, 6e-5, 40)
    volts = end - (np.exp(-np.outer(times, rates)) * (modes.T @ end)) @ modes.T
    volts = volts + std * np.random.default_rng(seed).standard_normal(volts.shape)
    table = Measurements.of(
        "trace", time_s=np.repeat(times, 2), node=np.tile(["n1", "n2"], 40), volts=volts.ravel(), std_v=std
    )
    return calibrate_from_measurements(board(), ["R1", "R2", "RC"], [table], starts=0)


@pytest.fixture(scope="module")
def calibration():
    return fit()


@pytest.fixture(scope="module")
def card(calibration):
    return LaboratoryCard.fixed(calibration, board(), ["V1", "V2"], ["n1", "n2"])


def own_matrix(values):
    """T^-1 of the board, with its inputs scaled so that it is symmetric: G, up to one factor."""
    return torch.from_numpy(conductances(values)[0] * R)


def test_a_wired_board_solves_its_own_matrix(card, calibration):
    matrix = own_matrix(calibration.estimates)
    drive = torch.tensor([1.0, -0.4], dtype=torch.float64)
    found = card.make_device().solve(tg.Dense(matrix), drive, math.inf)
    np.testing.assert_allclose(found.x, torch.linalg.solve(matrix, drive), rtol=1e-5)


def test_another_matrix_is_an_error_by_entry_but_for_a_preconditioner(card, calibration):
    matrix = own_matrix(calibration.estimates)
    matrix[0, 1] = matrix[1, 0] = matrix[0, 1] * 1.3
    drive = torch.tensor([1.0, -0.4], dtype=torch.float64)
    with pytest.raises(InputError, match=r"entry \(1, 2\) of the matrix is .* and the board's"):
        card.make_device().solve(tg.Dense(matrix), drive, math.inf)
    device = card.make_device(preconditioner=True)
    bare = device.solve(tg.Dense(matrix), drive, math.inf)
    refined = tg.Refined(device, tolerance=1e-8, rounds=30, method="fcg").solve(tg.Dense(matrix), drive, math.inf)
    exact = torch.linalg.solve(matrix, drive)
    assert (bare.x - exact).norm() > 1e-2 * exact.norm()
    assert (refined.x - exact).norm() < 1e-7 * exact.norm()


def test_the_file_is_read_back_by_its_kind(card, calibration, tmp_path):
    card.write(tmp_path / "lab.json")
    again = read_card(tmp_path / "lab.json")
    assert again == card
    DeviceCard.uncalibrated("integrated").write(tmp_path / "device.json")
    assert isinstance(read_card(tmp_path / "device.json"), DeviceCard)
    assert isinstance(read_card("shipped:integrated"), DeviceCard)
    with pytest.raises(InputError, match="is a laboratory card"):
        DeviceCard.read(tmp_path / "lab.json")
    calibration.write(tmp_path / "fit.json")
    with pytest.raises(
        InputError, match=r"a circuit calibration: fitted values without the board.*LaboratoryCard.fixed"
    ):
        read_card(tmp_path / "fit.json")


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (lambda card, fit: fit, "CircuitCalibration"),
        (lambda card, fit: "card.json", r"a path: .*read_card\('card.json'\)"),
        (lambda card, fit: {"technology": 1}, "give a device"),
        (lambda card, fit: SurrogateDevice, "a class: give a device"),
    ],
)
def test_what_is_no_device_raises_at_once(card, calibration, thing, message):
    given = thing(card, calibration)
    for take in (as_device, lambda one: tg.TNGD(torch.nn.Linear(2, 1).parameters(), lr=0.1, device=one)):
        with pytest.raises(InputError, match=message):
            take(given)


def test_optimizers_take_cards(card):
    device = DeviceCard.uncalibrated("integrated")
    for one in (card, device):
        optimizer = tg.TNGD(torch.nn.Linear(2, 1).parameters(), lr=0.1, device=one)
        assert optimizer.device.accepts(tg.Dense(torch.eye(2)))


TECHNOLOGY = Technology(name="bench", resistors={"unit": 1e4, "tolerance": 0.02}, capacitors={"tolerance": 0.02})


@pytest.fixture(scope="module")
def measured():
    """(true die's seed, program, card): a passive array of three, each part of which a multimeter measured to 0.1 %."""
    matrix = np.array([[1.5, -0.4, -0.2], [-0.4, 1.3, -0.3], [-0.2, -0.3, 1.4]])
    program = compile_matrix(matrix, "rc", technology=TECHNOLOGY)
    true = program.on(tg.Die(TECHNOLOGY, 5))
    net, real = program.netlist(), true.netlist()
    parts = [part.name for part in net if isinstance(part, Resistor | Capacitor) and part != real[part.name]]
    rng = np.random.default_rng(1)
    values = {}
    for name in parts:
        part = real[name]
        value = part.resistance if isinstance(part, Resistor) else part.capacitance
        values[name] = Prior(value=value * (1 + 1e-3 * rng.standard_normal()), std=1e-3 * value)
    node = net.nodes[0]
    times = np.linspace(1e-6, 1e-4, 8)
    table = Measurements.of("trace", time_s=times, node=node, volts=0.0, std_v=1.0)
    found = calibrate_from_measurements(net, parts, [table], priors=values, starts=0)
    return program, LaboratoryCard.programmed(found, program)


def other_system():
    matrix = torch.tensor([[1.2, -0.1, -0.5], [-0.1, 1.6, -0.2], [-0.5, -0.2, 1.3]], dtype=torch.float64)
    return tg.Dense(matrix), torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64)


def test_a_measured_array_has_its_parts_under_another_matrix(measured):
    """Against the true board in ngspice; a board like it, and the nominal one, must be off."""
    _, card = measured
    system, drive = other_system()
    exact = torch.linalg.solve(system.dense(), drive)
    true = SpiceDevice(TECHNOLOGY, die=5, fabric="rc").solve(system, drive, math.inf).x
    own = SurrogateDevice(card, extrapolate=True).solve(system, drive, math.inf).x
    like = SurrogateDevice(card, die=3, extrapolate=True).solve(system, drive, math.inf).x
    error = (true - exact).norm()
    assert error > 2e-3 * exact.norm()
    assert (own - true).norm() < 0.2 * error
    assert (like - true).norm() > 0.5 * error


def test_a_measured_die_is_the_same_in_ngspice(measured):
    _, card = measured
    system, drive = other_system()
    parameters, die = card.card_and_die()
    assert isinstance(die, MeasuredDie)
    spice = SpiceDevice(parameters.technology, die=die, fabric="rc").solve(system, drive, math.inf).x
    own = SurrogateDevice(card, extrapolate=True).solve(system, drive, math.inf).x
    np.testing.assert_allclose(own, spice, rtol=2e-4)


def test_an_array_of_amplifiers_has_its_parts_at_their_places():
    """Amplifiers without an offset have no source of it in the nominal netlist, and they warm the die."""
    matrix = np.array([[2.0, -0.6], [-0.6, 1.5]])
    program, other = (compile_matrix(one, "crossbar", technology="integrated") for one in (matrix, matrix + 0.3))
    die = tg.Die("integrated", 5)
    real = program.on(die).netlist()
    places = part_places(program)
    values = {name: value for name, (_, value) in values_of(real).items() if name in places}
    assert {"VOS1", "VOS2", "R1_2m", "C1p", "RB2m"} <= set(values)
    measured = MeasuredDie.of_values(program, values)
    want, found = (other.on(one).netlist() for one in (die, measured))
    for name, (_, value) in values_of(want).items():
        if name in values:
            assert values_of(found)[name][1] == pytest.approx(value, rel=1e-12)
    program = program.at_scale(0.3)
    net, b = program.netlist(), np.array([1.0, -0.5])
    table = Measurements.of("trace", time_s=[1e-6, 1e-4], node="p1", volts=0.1, std_v=1.0)
    prior = Prior(value=values["R1_2p"], std=1e-3 * values["R1_2p"])
    fitted = calibrate_from_measurements(net, ["R1_2p"], [table], priors={"R1_2p": prior}, starts=0)
    made = LaboratoryCard.programmed(fitted, program)
    assert [part.name for part in made.board.parts] == ["R1_2p"]
    # Its temperature, with the amplifiers on, is one that it was measured at; its voltages are larger ones.
    found = SurrogateDevice(made, extrapolate=True).solve(tg.Dense(torch.from_numpy(matrix)), torch.from_numpy(b), 1.0)
    assert not any(" K," in text for text in found.violations)
    np.testing.assert_allclose(found.x, np.linalg.solve(matrix, b), atol=0.5)


def test_boards_like_it_scatter_as_its_parts_do(measured):
    _, card = measured
    count = sum(part.kind == "resistor" for part in card.board.parts)
    # Of a standard deviation from so many.
    assert card.board.scatter("resistor") == pytest.approx(0.02, rel=4 / math.sqrt(2 * count))


def test_experiments_and_studies_take_its_file(measured, tmp_path):
    _, card = measured
    card.write(tmp_path / "lab.json")
    system, drive = other_system()
    choice = DeviceChoice(kind="surrogate", card=str(tmp_path / "lab.json"), extrapolate=True)
    own = SurrogateDevice(card, extrapolate=True).solve(system, drive, math.inf).x
    np.testing.assert_array_equal(choice.make(None, 0).solve(system, drive, math.inf).x, own)
    with pytest.raises(InputError, match="layout does not apply to the card of a measured board"):
        DeviceChoice(kind="surrogate", card=str(tmp_path / "lab.json"), layout=True).make(None, 0)


def test_outside_of_what_was_measured_is_said(measured):
    _, card = measured
    system, drive = other_system()
    with pytest.raises(InputError, match="outside of what this card was calibrated for"):
        SurrogateDevice(card).solve(
            tg.Dense(torch.eye(5, dtype=torch.float64)), torch.ones(5, dtype=torch.float64), 5.0
        )
    assert SurrogateDevice(card, extrapolate=True).solve(system, drive, math.inf).violations


def test_another_netlist_than_the_calibrated_one_is_an_error(calibration):
    other = board()
    other.add(Resistor("R9", "n1", "0", 1e5))
    with pytest.raises(InputError, match="not the model that was calibrated"):
        LaboratoryCard.fixed(calibration, other, ["V1", "V2"], ["n1", "n2"])


def test_a_fit_alone_says_what_makes_a_card_of_it(calibration):
    assert isinstance(calibration, CircuitCalibration)
    with pytest.raises(InputError, match=r"LaboratoryCard\.fixed"):
        as_device(calibration)
