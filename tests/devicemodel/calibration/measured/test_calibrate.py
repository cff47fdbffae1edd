"""Calibration from measurements: synthetic ones of known circuits, drawn here from closed forms that the code does not use."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.elements import VCVS, Capacitor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.devicemodel.calibration.measured.calibrate import calibrate_from_measurements, check_measurements
from thermograd.devicemodel.calibration.measured.measurements import Measurements
from thermograd.devicemodel.calibration.measured.result import CircuitCalibration, Prior, Value, Verdict

BOLTZMANN = 1.380649e-23
KELVIN = 300.0
TRUE = {"R1": 4.7e3, "R2": 4.7e3, "R3": 6.8e3, "C1": 22e-9, "C2": 30e-9}
SOUGHT = ["R3", "C1", "C2"]
OFF = {**TRUE, "R3": 9e3, "C1": 15e-9}  # where searches start
FREQUENCIES = np.geomspace(200, 2e4, 14)


def netlist(values, **more):
    """Two RC nodes with a resistor between them; C3 beside it where it is given."""
    values = {**values, **more}
    circuit = Netlist("two nodes", temperature=KELVIN)
    circuit.add(
        Resistor("R1", "a", "0", values["R1"]),
        Resistor("R2", "b", "0", values["R2"]),
        Resistor("R3", "a", "b", values["R3"]),
        Capacitor("C1", "a", "0", values["C1"]),
        Capacitor("C2", "b", "0", values["C2"]),
    )
    return circuit


def law(frequencies, values, coupling=0.0):
    """One-sided 4 k T Re Z of the two nodes, (F, 2, 2); `coupling`: a capacitor between them, F."""
    g = 1 / values["R3"]
    G = np.array([[1 / values["R1"] + g, -g], [-g, 1 / values["R2"] + g]])
    C = np.diag([values["C1"], values["C2"]]) + coupling * np.array([[1, -1], [-1, 1]])
    return 4 * BOLTZMANN * KELVIN * np.linalg.inv(G + 2j * np.pi * frequencies[:, None, None] * C).real


def draw(rng, averages=100, frequencies=FREQUENCIES, **options):
    """Averaged periodograms of both nodes: sums over complex normal amplitudes."""
    shape = (len(frequencies), 2, averages)
    white = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / math.sqrt(2)
    amplitudes = np.linalg.cholesky(law(frequencies, options.pop("values", TRUE), **options)) @ white
    found = amplitudes @ amplitudes.conj().transpose(0, 2, 1) / averages
    entries = (("a", "a", 0, 0), ("b", "b", 1, 1), ("a", "b", 0, 1))
    return Measurements.of(
        "spectrum",
        frequency_hz=np.tile(frequencies, 3),
        node=np.repeat([entry[0] for entry in entries], len(frequencies)),
        node_b=np.repeat([entry[1] for entry in entries], len(frequencies)),
        density_v2_per_hz=np.concatenate([found[:, i, j].real for *_, i, j in entries]),
        density_imag_v2_per_hz=np.concatenate([found[:, i, j].imag for *_, i, j in entries]),
        averages=averages,
    )


def pull(card, name, true=TRUE):
    value = card[name]
    return math.log(value.value / true[name]) / (value.std / value.value)


def test_values_are_recovered_within_their_errors():
    rest, held = draw(np.random.default_rng(1)).split(5)
    card = calibrate_from_measurements(netlist(OFF), SOUGHT, [rest], [held], starts=2)
    assert card.verdict is Verdict.OK
    assert card.unidentifiable == card.alternatives == ()
    for name in SOUGHT:
        assert abs(pull(card, name)) < 3
        assert card[name].std < 0.1 * card[name].value
    assert card.fit.p_value > 0.01
    assert card.held_out.p_value > 0.01
    assert card.held_out.degrees_of_freedom == len(held) + len(held) // 3  # each cross-spectrum counts twice
    assert card.data_range.frequency_hz == (rest.columns["frequency_hz"].min(), rest.columns["frequency_hz"].max())
    np.testing.assert_allclose(np.diag(card.correlation), 1.0)


@pytest.fixture(scope="module")
def bootstrap():
    """Calibrations of 60 synthetic data sets, a fifth of each held out: a parametric bootstrap."""
    rng = np.random.default_rng(7)
    cards = []
    for _ in range(60):
        rest, held = draw(rng).split(5)
        cards.append(calibrate_from_measurements(netlist(TRUE), SOUGHT, [rest], [held], starts=0))
    return cards


@pytest.mark.slow
def test_pulls_have_the_covariance_that_the_fisher_information_gives(bootstrap):
    """The scatter of n normal pulls has the relative standard error 1 / sqrt(2 (n - 1)), their mean 1 / sqrt(n)."""
    pulls = np.array([[pull(card, name) for name in SOUGHT] for card in bootstrap])
    n = len(pulls)
    assert np.all(np.abs(pulls.std(axis=0, ddof=1) - 1) < 3.5 / math.sqrt(2 * (n - 1)))
    # Maximum likelihood has a bias of order 1 / information: here 0.1 standard errors at most.
    assert np.all(np.abs(pulls.mean(axis=0)) < 3.5 / math.sqrt(n) + 0.1)
    assert not np.all(
        np.abs(1.4 * pulls.std(axis=0, ddof=1) - 1) < 3.5 / math.sqrt(2 * (n - 1))
    )  # errors too small by 1.4
    expected = np.mean([card.correlation for card in bootstrap], axis=0)
    seen = np.corrcoef(pulls.T)
    pairs = np.triu_indices(3, 1)  # Fisher's z of a correlation has the standard error 1 / sqrt(n - 3)
    assert np.all(np.abs(np.arctanh(seen[pairs]) - np.arctanh(expected[pairs])) < 3.5 / math.sqrt(n - 3))


@pytest.mark.slow
def test_p_values_are_uniform(bootstrap):
    for check in ("fit", "held_out"):
        values = [getattr(card, check).p_value for card in bootstrap]
        assert kstest(values, "uniform").pvalue > 0.005
    normalised = np.array([[r.value for r in card.held_out.residuals] for card in bootstrap])
    assert np.mean(normalised**2) == pytest.approx(1.0, abs=4 * math.sqrt(2.06 / normalised.size))
    # The error of the calibrated values is part of it: without it the law is rejected.
    raw = [card.held_out.chi_squared / card.held_out.degrees_of_freedom for card in bootstrap]
    assert np.mean(raw) == pytest.approx(1.0, abs=4 * math.sqrt(2.06 / normalised.size))


def test_a_circuit_without_its_coupling_capacitor_is_rejected_by_what_was_held_out():
    rest, held = draw(np.random.default_rng(3), averages=400, coupling=4e-9).split(3)
    wrong = calibrate_from_measurements(netlist(TRUE), SOUGHT, [rest], [held], starts=0)
    assert wrong.held_out.p_value < 1e-6
    assert wrong.verdict is Verdict.MISFIT

    def with_capacitor(values):
        circuit = netlist(TRUE | values)
        circuit.add(Capacitor("C3", "a", "b", values["C3"]))
        return circuit

    start = {name: TRUE[name] for name in SOUGHT} | {"C3": 1e-9}
    right = calibrate_from_measurements(with_capacitor, start, [rest], [held], starts=0)
    assert right.held_out.p_value > 0.01
    assert right.verdict is Verdict.OK
    assert abs(pull(right, "C3", {"C3": 4e-9})) < 3.5


def test_what_fits_and_still_predicts_wrongly_is_called_so():
    """At low frequencies a coupling capacitor looks like more capacitance at the nodes; above, the prediction fails."""
    table = draw(np.random.default_rng(0), coupling=6e-9)
    high = table.columns["frequency_hz"] > 2e3
    card = calibrate_from_measurements(netlist(TRUE), SOUGHT, [table.take(~high)], [table.take(high)], starts=0)
    assert card.fit.p_value > 0.01
    assert card.held_out.p_value < 1e-6
    assert card.held_out.outside == high.sum()
    assert card.verdict is Verdict.CONTRADICTED


def divider(values):
    """A driven RC, read after a gain: R and C only as their product, and a resistor that nothing sees."""
    circuit = Netlist("divider")
    circuit.add(
        VoltageSource("V1", "in", "0", 1.0),
        Resistor("R3", "in", "c", values["R3"]),
        Capacitor("C2", "c", "0", values["C2"]),
        VCVS("E1", "out", "0", "c", "0", values["E1"]),
        Resistor("R9", "out", "0", values["R9"]),
    )
    return circuit


def step_response(rng, std=1e-3):
    """2 (1 - exp(-t / RC)) of R = 10 kohm, C = 1 nF, gain 2."""
    times = np.linspace(0, 5e-5, 40)
    volts = 2 * -np.expm1(-times / 1e-5) + std * rng.standard_normal(40)
    return Measurements.of("trace", time_s=times, node="out", volts=volts, std_v=std)


def test_what_cannot_be_told_is_named():
    start = {"R3": 8e3, "C2": 1.2e-9, "E1": 1.5, "R9": 1e3}
    table = step_response(np.random.default_rng(4))
    card = calibrate_from_measurements(divider(start), list(start), [table], starts=1)
    assert card.verdict is Verdict.UNIDENTIFIABLE
    assert card.alternatives == ()  # other points of the same valley are no alternatives
    assert [(set(group.values), group.identified_as) for group in card.unidentifiable] == [
        ({"R3", "C2"}, ("R3*C2",)),
        ({"R9"}, ()),
    ]
    assert str(card.unidentifiable[0]) == "R3 and C2: only as R3*C2"
    assert [card[name].std is None for name in start] == [True, True, False, True]
    assert card["R3"].value * card["C2"].value == pytest.approx(1e-5, rel=5e-3)
    assert abs(pull(card, "E1", {"E1": 2.0})) < 3.5


def test_a_multimeter_tells_the_pair_apart():
    start = {"R3": 8e3, "C2": 1.2e-9, "E1": 1.5}
    table = step_response(np.random.default_rng(5))
    prior = {"R3": Prior(value=1.01e4, std=2e2)}
    card = calibrate_from_measurements(divider({**start, "R9": 1e3}), list(start), [table], priors=prior, starts=0)
    assert card.verdict is Verdict.OK
    assert card["R3"].value == pytest.approx(1.01e4, rel=1e-3)
    assert card["R3"].std == pytest.approx(2e2, rel=0.01)
    assert card["C2"].std / card["C2"].value == pytest.approx(0.02, rel=0.05)
    assert card.unidentifiable[0].identified_as == ("R3*C2",)  # the data alone still do not tell
    assert card["R3"].prior == prior["R3"]
    assert card.correlation[0, 1] < -0.9


def test_a_second_maximum_is_named():
    """Equal nodes seen only by the sum of their spectra: exchanging them changes nothing."""

    def sum_of_both(chosen):
        circuit = Netlist("sum", temperature=KELVIN)
        for i in "12":
            circuit.add(Resistor(f"R{i}", f"n{i}", "0", 1e4), Capacitor(f"C{i}", f"n{i}", "0", chosen[f"C{i}"]))
        return circuit

    frequencies = np.geomspace(100, 1e6, 30)
    rng = np.random.default_rng(2)
    density = sum(4 * BOLTZMANN * KELVIN * 1e4 / (1 + (2 * np.pi * frequencies * 1e4 * c) ** 2) for c in (1e-8, 1e-9))
    table = Measurements.of(
        "spectrum",
        frequency_hz=frequencies,
        node="n1-n2",
        density_v2_per_hz=density * rng.gamma(100, 0.01, 30),
        averages=100,
    )
    card = calibrate_from_measurements(sum_of_both, {"C1": 3e-9, "C2": 3e-9}, [table], starts=4)
    assert card.verdict is Verdict.AMBIGUOUS
    assert len(card.alternatives) == 1
    assert card.alternatives[0]["C1"] == pytest.approx(card["C2"].value, rel=1e-3)


@pytest.mark.slow
def test_covariances_correlations_and_separate_spectra_tell_the_same_circuit():
    """Exact values with stated errors: the estimates are the true ones, and the fit is perfect."""
    bands = [(100.0, 500.0), (500.0, 2e3), (2e3, 1e4), (1e4, 5e4)]

    def covariance(low, high, i, j):
        return quad(lambda f: law(np.array([f]), TRUE)[0, i, j], low, high, epsabs=0)[0]

    low, high = np.array(bands).T
    variance = np.array([[covariance(*band, i, j) for band in bands] for i, j in ((0, 0), (1, 1), (0, 1))])
    band = {"node_a": "a", "node_b": "a", "f_lo_hz": low, "f_hi_hz": high}
    correlation = variance[2] / np.sqrt(variance[0] * variance[1])
    at_rest = BOLTZMANN * KELVIN / TRUE["C1"]
    across = law(FREQUENCIES, TRUE) @ [1, -1] @ [1, -1]
    tables = [
        Measurements.of("covariance", **band, covariance_v2=variance[0], std_v2=0.01 * variance[0]),
        Measurements.of("correlation", **band | {"node_b": "b"}, correlation=correlation, std=0.005),
        Measurements.of(
            "covariance", **band | {"f_lo_hz": 0, "f_hi_hz": math.inf}, covariance_v2=at_rest, std_v2=1e-15
        ),
        Measurements.of("spectrum", frequency_hz=FREQUENCIES, node="a-b", density_v2_per_hz=across, averages=100),
    ]
    card = calibrate_from_measurements(netlist(OFF), SOUGHT, tables, starts=0)
    for name in SOUGHT:
        assert card[name].value == pytest.approx(TRUE[name], rel=1e-3 * card[name].std / card[name].value + 1e-6)
    assert card.fit.chi_squared < 1e-4
    assert card.data_range.frequency_hz == (0.0, math.inf)


def test_information_is_that_of_whittle_and_cross_spectra_add_to_it():
    """Closed form of one node: information of ln C is sum K (2 x^2 / (1 + x^2))^2, x = 2 pi f R C."""
    circuit = Netlist("rc", temperature=KELVIN)
    circuit.add(Resistor("R1", "a", "0", 1e4), Capacitor("C1", "a", "0", 1e-9))
    x = 2 * np.pi * FREQUENCIES * 1e-5
    density = 4 * BOLTZMANN * KELVIN * 1e4 / (1 + x**2)
    table = Measurements.of("spectrum", frequency_hz=FREQUENCIES, node="a", density_v2_per_hz=density, averages=64)
    card = calibrate_from_measurements(circuit, ["C1"], [table], starts=0)
    expected = 1 / math.sqrt(np.sum(64 * (2 * x**2 / (1 + x**2)) ** 2))
    assert card["C1"].std / 1e-9 == pytest.approx(expected, rel=1e-5)
    # Cross-spectra tell of a coupling what the two nodes' own spectra do not.
    full = draw(np.random.default_rng(8))
    own = full.take(full.columns["node"] == full.columns["node_b"])
    errors = [calibrate_from_measurements(netlist(TRUE), SOUGHT, [t], starts=0)["R3"].std for t in (full, own)]
    assert errors[0] < 0.8 * errors[1]


def test_the_record_is_read_back_and_checks_new_data(tmp_path):
    rng = np.random.default_rng(9)
    card = calibrate_from_measurements(netlist(OFF), SOUGHT, [draw(rng)], starts=0)
    card.write(tmp_path / "card.json")
    again = CircuitCalibration.read(tmp_path / "card.json")
    assert again == card
    assert dict(again.summary())["verdict"] == "ok"
    assert again.sources[0].sha256 == draw(np.random.default_rng(9)).sha256
    assert check_measurements(again, netlist(TRUE), [draw(rng)]).p_value > 0.01
    aged = draw(rng, values={**TRUE, "C2": 1.3 * TRUE["C2"]}, averages=400)
    assert check_measurements(again, netlist(TRUE), [aged]).p_value < 1e-6
    with pytest.raises(InputError, match="not the one that was calibrated"):
        check_measurements(again, netlist(TRUE, R1=4.8e3), [aged])
    with pytest.raises(InputError, match="'R7' was not calibrated"):
        again["R7"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "format 3; this version of thermograd reads 2"),
        ({"format": 1}, "format 1; this version of thermograd reads 2: calibrate again"),
        ({"format": None}, "format None"),
        ({"verdict": "perfect"}, "field verdict"),
        ({"information": [[1.0]]}, "3 x 3"),
        ({"information": [[1.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]}, "symmetric"),
        ({"information": [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]}, "the eigenvalue -1"),
        ({"information": [[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]}, "the eigenvalue -1"),
        ({"format": 2.0}, "field format: 2.0 is no integer"),
        ({"netlist_sha256": "0"}, "field netlist_sha256"),
        ({"extra": 1}, "field extra"),
    ],
)
def test_other_versions_and_spoilt_records_raise(change, message, tmp_path):
    card = calibrate_from_measurements(netlist(TRUE), SOUGHT, [draw(np.random.default_rng(0))], starts=0)
    data = json.loads(card.model_dump_json()) | change
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    data["digest"] = hashlib.sha256(canonical.encode()).hexdigest()  # so that the field itself is judged
    (tmp_path / "card.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=message):
        CircuitCalibration.read(tmp_path / "card.json")
    (tmp_path / "card.json").write_text(card.model_dump_json()[:500])
    with pytest.raises(InputError, match="not valid JSON"):
        CircuitCalibration.read(tmp_path / "card.json")
    with pytest.raises(InputError, match="cannot be read"):
        CircuitCalibration.read(tmp_path / "no.json")


def test_an_edited_record_is_noticed(tmp_path):
    path = tmp_path / "card.json"
    card = calibrate_from_measurements(netlist(TRUE), SOUGHT, [draw(np.random.default_rng(0))], starts=0)
    card.write(path)
    text = path.read_text()
    for old, new, message in (
        (repr(card["R3"].value), repr(card["R3"].value * 1.01), "does not fit its contents"),
        ('"digest"', '"disgest"', "digest is missing"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=message):
            CircuitCalibration.read(path)


def test_files_are_taken_by_their_path_and_named_with_their_digest(tmp_path):
    table = draw(np.random.default_rng(0))
    table.write(tmp_path / "spectra.csv")
    card = calibrate_from_measurements(netlist(OFF), SOUGHT, [tmp_path / "spectra.csv"], starts=0)
    assert card.values == calibrate_from_measurements(netlist(OFF), SOUGHT, [table], starts=0).values
    source = card.sources[0]
    assert (source.name, source.kind, source.rows, source.held_out) == ("spectra.csv", "spectrum", len(table), False)


def test_same_seed_same_card():
    table = draw(np.random.default_rng(0))
    cards = [calibrate_from_measurements(netlist(OFF), SOUGHT, [table], starts=2, seed=5) for _ in range(2)]
    assert cards[0] == cards[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tables": []}, "tables: none"),
        ({"free": []}, "different names are needed"),
        ({"free": "R3"}, "different names are needed"),
        ({"free": ["R3", "r3"]}, "different names are needed"),
        ({"free": ["R8"]}, "no element 'R8'"),
        ({"free": {"R3": 0.0}}, "R3 starts at 0.0"),
        ({"free": {"R3": math.nan}}, "R3 starts at nan"),
        ({"model": 3}, "a Netlist, or a function"),
        ({"model": lambda values: 3, "free": {"R3": 1.0}}, "must return a Netlist"),
        ({"model": netlist}, "needs starting values"),
        ({"priors": {"R1": Prior(value=1.0, std=0.1)}}, "'R1' is not free"),
        ({"priors": {"R3": Prior(value=-1e3, std=0.1)}}, "of the same sign"),
        ({"priors": {"R3": Prior(value=1e3, std=2e3)}}, "below its magnitude"),
        ({"starts": -1}, "starts = -1"),
        ({"tables": ["no.csv"]}, "cannot be read"),
        ({"tables": "no.csv"}, r"tables is one str: give a list"),
        ({"held_out": "no.csv"}, r"held_out is one str: give a list"),
        ({"priors": {"R3": (1e3, 10.0)}}, r"R3 is a tuple; give Prior"),
    ],
)
def test_unusable_requests_raise(options, message):
    given = {"model": netlist(TRUE), "free": SOUGHT, "tables": [draw(np.random.default_rng(0))]} | options
    with pytest.raises(InputError, match=message):
        calibrate_from_measurements(**given)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "b", 1e-17)], "the row of a and a is missing"),
        ([("a", "a", 1e-17), ("b", "b", 1e-17), ("a", "b", 1.1e-17)], "no positive definite matrix"),
        ([("q", "q", 1e-17)], "no node 'q'"),
    ],
)
def test_spectra_that_do_not_belong_together_raise(rows, message):
    first, second, density = zip(*rows, strict=True)
    table = Measurements.of(
        "spectrum", frequency_hz=1e3, node=first, node_b=second, density_v2_per_hz=density, averages=9
    )
    with pytest.raises(InputError, match=message):
        calibrate_from_measurements(netlist(TRUE), SOUGHT, [table])


def test_a_voltage_without_noise_and_other_numbers_of_averages_raise():
    circuit = netlist(TRUE)
    circuit.add(VoltageSource("V1", "quiet", "0", 1.0))
    table = Measurements.of("spectrum", frequency_hz=[1e3], node="quiet", density_v2_per_hz=1e-17, averages=9)
    with pytest.raises(InputError, match="no noise in one of the measured voltages"):
        calibrate_from_measurements(circuit, SOUGHT, [table])
    table = Measurements.of("spectrum", frequency_hz=1e3, node=["a", "b", "a"], node_b=["a", "b", "b"],
                            density_v2_per_hz=[3e-17, 3e-17, 1e-17], averages=[9, 8, 9])  # fmt: skip
    with pytest.raises(InputError, match="different numbers of averages"):
        calibrate_from_measurements(circuit, SOUGHT, [table])


def test_an_impossible_prior_is_named():
    with pytest.raises(InputError, match=r"prior field std: .*greater than 0"):
        Prior(value=1e-9, std=-1e-10)


def test_a_values_interval_is_normal_in_its_logarithm():
    value = Value(name="C1", value=-2.0, std=0.2, start=-1.0)
    low, high = value.interval(0.95)
    assert (low, high) == pytest.approx((-2 * math.exp(0.195996), -2 * math.exp(-0.195996)), rel=1e-5)
    assert value.model_copy(update={"std": None}).interval() is None
    with pytest.raises(InputError, match=r"level is 1\.5"):
        value.interval(1.5)
