"""Mistakes in tables are named; honest tables are not suspected. Data by the closed forms of a divider with a capacitor."""

import math

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.devicemodel.calibration.measured.advice import suspicions
from thermograd.devicemodel.calibration.measured.calibrate import calibrate_from_measurements
from thermograd.devicemodel.calibration.measured.measurements import Measurements

R, C, KT, STD, AVERAGES = 1e3, 1e-8, 1.380649e-23 * 300.0, 1e-3, 100
TIMES = np.linspace(2e-6, 4e-5, 20)
FREQUENCIES = np.geomspace(1e3, 1e5, 16)


def circuit():
    """Two filters side by side, of time constants R C and 2 R C."""
    net = Netlist("two filters", temperature=300.0)
    net.add(VoltageSource("V1", "in", "0", dc=1.0))
    for name, resistance in (("1", R), ("2", 2 * R)):
        net.add(Resistor(f"R{name}", "in", f"n{name}", resistance))
        net.add(Capacitor(f"C{name}", f"n{name}", "0", C, initial=0.0))
    return net


def trace(rng, std=STD):
    volts = np.stack([1 - np.exp(-TIMES / (k * R * C)) for k in (1.03, 2.0)], axis=1)
    volts += STD * rng.standard_normal(volts.shape)
    nodes = np.tile(["n1", "n2"], len(TIMES))
    return Measurements.of("trace", time_s=np.repeat(TIMES, 2), node=nodes, volts=volts.ravel(), std_v=std)


def spectrum(rng, averages=AVERAGES):
    density = (
        4
        * KT
        * R
        / (1 + (2 * np.pi * FREQUENCIES * 1.03 * R * C) ** 2)
        * rng.gamma(AVERAGES, 1 / AVERAGES, len(FREQUENCIES))
    )
    return Measurements.of(
        "spectrum", frequency_hz=FREQUENCIES, node="n1", density_v2_per_hz=density, averages=averages
    )


def changed(table, **columns):
    return Measurements(table.kind, {**table.columns, **columns}, table.source, table.sha256)


def said(*tables):
    found = calibrate_from_measurements(circuit(), ["C1"], tables, starts=0)
    return [one.text for one in suspicions(circuit(), tables, found)]


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (lambda t, s: (changed(t, time_s=1e3 * t.columns["time_s"]), s), "time_s looks like milliseconds"),
        (
            lambda t, s: (changed(t, volts=1e3 * t.columns["volts"], std_v=1e3 * t.columns["std_v"]), s),
            "volts and std_v look like millivolts",
        ),
        (lambda t, s: (changed(t, volts=1e3 * t.columns["volts"]), s), "volts look like millivolts, beside std_v"),
        (lambda t, s: (changed(t, volts=-t.columns["volts"]), s), "volts look reversed"),
        (
            lambda t, s: (t, changed(s, density_v2_per_hz=np.sqrt(s.columns["density_v2_per_hz"]))),
            r"densities look like V/sqrt\(Hz\)",
        ),
        (lambda t, s: (t, changed(s, frequency_hz=1e-3 * s.columns["frequency_hz"])), "frequency_hz looks like kHz"),
        (
            lambda t, s: (t, changed(s, density_v2_per_hz=s.columns["density_v2_per_hz"] / 2)),
            "densities look two-sided",
        ),
    ],
)
def test_a_unit_that_is_not_the_column_s_is_named_first(mistake, text):
    rng = np.random.default_rng(3)
    first = said(*mistake(trace(rng), spectrum(rng)))[0]
    assert first.split(": ", 1)[1].startswith(text.replace("\\", ""))


def test_a_slow_circuit_is_told_from_times_in_milliseconds_by_the_netlist_s_values():
    """Alone, such a table fits values that are a thousand times larger, and no chi^2 says so."""
    table = trace(np.random.default_rng(5))
    late = changed(table, time_s=1e3 * table.columns["time_s"])
    found = calibrate_from_measurements(circuit(), ["C1", "C2"], [late], starts=0)
    [first] = suspicions(circuit(), [late], found)
    assert "milliseconds" in first.text
    slow = Netlist("slow", temperature=300.0)
    for part in circuit():
        slow.add(part if not isinstance(part, Capacitor) else Capacitor(part.name, *part.nodes, 1e3 * C, initial=0.0))
    fitted = calibrate_from_measurements(slow, ["C1", "C2"], [late], starts=0)
    assert suspicions(slow, [late], fitted) == ()


def test_exchanged_nodes_are_named_where_the_netlist_tells_them_apart():
    table = trace(np.random.default_rng(7))
    swapped = changed(table, node=np.tile(["n2", "n1"], len(TIMES)))
    found = calibrate_from_measurements(circuit(), ["C1"], [swapped], starts=0)
    assert "n1 is n2, n2 is n1" in suspicions(circuit(), [swapped], found)[0].text


@pytest.mark.parametrize("factor", [1 / 8.6, 3.0])
def test_stated_errors_are_compared_with_the_scatter(factor):
    rng = np.random.default_rng(11)
    [text] = said(trace(rng, factor * STD), spectrum(rng))
    words = text.split()
    stated, span = float(words[words.index("about") + 1]), text[text.index("(") + 1 : text.index(")")].split(" to ")
    true = max(factor, 1 / factor)
    assert ("too small" if factor < 1 else "too large") in text
    assert float(span[0]) <= true <= float(span[1])
    assert stated == pytest.approx(true, rel=4 / math.sqrt(2 * 40))


def test_averages_are_compared_with_the_scatter():
    rng = np.random.default_rng(14)
    [text] = said(trace(rng), spectrum(rng, 16 * AVERAGES))
    assert "averages look about" in text
    assert "too large" in text


def test_a_wrong_circuit_is_not_taken_for_wrong_errors():
    """A second time constant that the netlist lacks leaves residuals that follow one another."""
    rng = np.random.default_rng(17)
    table = trace(rng)
    slow = changed(table, volts=table.columns["volts"] + 0.02 * np.sin(table.columns["time_s"] * 3e5))
    assert not any("std_v" in text for text in said(slow, spectrum(rng)))


@pytest.mark.parametrize("seed", range(3))
def test_honest_tables_are_not_suspected(seed):
    """`benchmarks/devicemodel/laboratory/mistakes.py` counts more."""
    rng = np.random.default_rng([seed, 19])
    assert said(trace(rng), spectrum(rng)) == []


def test_decibels_are_an_error_that_says_so():
    table = spectrum(np.random.default_rng(23))
    decibels = changed(table, density_v2_per_hz=10 * np.log10(table.columns["density_v2_per_hz"]))
    with pytest.raises(
        InputError, match=r"the density of n1 at 1000 Hz is -16.*all are negative: if they are decibels, give 10\^"
    ):
        calibrate_from_measurements(circuit(), ["C1"], [decibels])


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_second_time_constant_is_no_other_unit_and_no_other_error(shuffled):
    """That the netlist lacks; whatever the order of the rows."""
    rng = np.random.default_rng(29)
    volts = 0.7 * (1 - np.exp(-TIMES / (R * C))) + 0.3 * (1 - np.exp(-TIMES / (6 * R * C)))
    volts += STD * rng.standard_normal(len(TIMES))
    order = rng.permutation(len(TIMES)) if shuffled else np.arange(len(TIMES))
    table = Measurements.of("trace", time_s=TIMES[order], node="n1", volts=volts[order], std_v=STD)
    assert said(table) == []


def test_nodes_that_all_tables_exchange_are_named_once():
    rng = np.random.default_rng(31)
    other = {"n1": "n2", "n2": "n1"}
    first, second = trace(rng), spectrum(rng)
    swapped = [changed(one, node=np.array([other[str(n)] for n in one.columns["node"]])) for one in (first, second)]
    swapped[1] = changed(swapped[1], node_b=swapped[1].columns["node"])
    assert [text.split(": then")[0] for text in said(*swapped)] == [
        "all tables: nodes look exchanged, n1 is n2, n2 is n1"
    ]


def test_a_value_far_from_the_netlist_s_is_named_though_the_fit_is_good():
    """Of one table of one quantity, whose every mistake would need another circuit."""
    rng = np.random.default_rng(37)
    density = 4 * KT * R / (1 + (2 * np.pi * FREQUENCIES * 3 * R * C) ** 2) * rng.gamma(AVERAGES, 1 / AVERAGES, 16)
    table = Measurements.of(
        "spectrum", frequency_hz=FREQUENCIES, node="n1", density_v2_per_hz=density, averages=AVERAGES
    )
    [text] = said(table)
    assert "C1 = " in text
    assert "times above the netlist's 1e-08: it may stand for something that the circuit lacks" in text
