"""`run` against closed forms, and the messages of what it rejects."""

from __future__ import annotations

import numpy as np
import pytest

from thermograd.circuits.errors import InputError, SimulationError, SimulatorMissing
from thermograd.circuits.linear.johnson import NoiseCurrents
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Noise, OperatingPoint, Transient
from thermograd.circuits.netlist.elements import VCCS, VCVS, Capacitor, CurrentSource, Inductor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.library import VARIABLE, find_library
from thermograd.circuits.ngspice.pool import POOL, Worker
from thermograd.circuits.ngspice.run import run

from ..networks import differential_array, one_rc, random_rc
from ..ngspice_command import needs_ngspice


def scaled(netlist, factor):
    """The same circuit with all sources scaled."""
    other = Netlist(netlist.title)
    for e in netlist:
        other.add(VoltageSource(e.name, e.a, e.b, factor * e.dc) if isinstance(e, VoltageSource) else e)
    return other


def test_operating_point_of_a_divider():
    netlist = one_rc()
    netlist.add(
        Resistor("R2", "out", "0", 3e3), CurrentSource("I1", "0", "out", 1e-3), VCCS("G1", "out", "0", "in", "0", 1e-4)
    )
    result = run(netlist, OperatingPoint())
    # (1 - v)/1k + 1 mA - 0.1 mS * 1 V = v/3k: the source injects into its second node, G1 takes out of its first
    assert result.voltages == pytest.approx({"in": 1.0, "out": 1.9e-3 / (1e-3 + 1 / 3e3)}, rel=1e-12)
    assert result.ngspice_version.isdigit()
    assert "Doing analysis" in result.log
    assert run(netlist, OperatingPoint(nodes=["out"])).voltages == {"out": result.voltages["out"]}


@pytest.mark.parametrize("volts", [1e-6, 1.0, 1e3])
def test_settling_of_one_rc_is_exponential(volts):
    """1e-5 along the curve, 1e-9 after 30 time constants, at any signal scale."""
    result = run(scaled(one_rc(), volts), Transient(30e-6))
    exact = volts * -np.expm1(-result.time / 1e-6)
    assert np.abs(result.voltages["out"] - exact).max() < 1e-5 * volts
    assert result.voltages["out"][-1] == pytest.approx(volts, rel=1e-9)
    assert result.time[-1] == pytest.approx(30e-6, rel=1e-6)
    assert np.all(np.diff(result.time) > 0)
    assert result.time[0] <= 1e-9 * 30e-6 * 1.001  # ngspice 39 skips the point at zero


def test_tolerance_buys_points():
    fine, coarse = (run(one_rc(), Transient(30e-6, tolerance=tolerance)) for tolerance in (1e-8, 1e-5))
    assert len(coarse.time) < len(fine.time) / 3
    exact = -np.expm1(-coarse.time / 1e-6)
    assert np.abs(coarse.voltages["out"] - exact).max() < 1e-3


def test_samples_are_equally_spaced_and_exact():
    result = run(one_rc(), Transient(10e-6, samples=101))
    np.testing.assert_allclose(result.time, np.linspace(0.0, 10e-6, 101))
    np.testing.assert_allclose(result.voltages["out"], -np.expm1(-result.time / 1e-6), atol=1e-5)


def test_step_limits_the_step():
    result = run(one_rc(), Transient(10e-6, step=1e-8))
    assert np.diff(result.time).max() <= 1e-8 * (1 + 1e-6)


def test_initial_values_and_the_operating_point_as_start():
    netlist = one_rc(initial=3.0)
    start = run(netlist, Transient(5e-6))
    exact = 1 + 2 * np.exp(-start.time / 1e-6)
    assert np.abs(start.voltages["out"] - exact).max() < 3e-5
    settled = run(netlist, Transient(5e-6, use_initial=False))
    np.testing.assert_allclose(settled.voltages["out"], 1.0, rtol=1e-9)


def test_a_circuit_that_decays_to_nothing_does_not_stall():
    """Rounding noise around zero must not cut the time step; 300 time constants."""
    netlist = Netlist("decay")
    netlist.add(Resistor("R1", "a", "0", 1e3), Capacitor("C1", "a", "0", 1e-9, initial=1.0))
    result = run(netlist, Transient(300e-6), timeout=60)
    assert np.abs(result.voltages["a"] - np.exp(-result.time / 1e-6)).max() < 1e-5
    assert len(result.time) < 10_000


def test_node_names_of_every_legal_sort():
    """Digits, exponents, words that mean something elsewhere in SPICE; capital letters come back as given."""
    names = [
        "1",
        "1e3",
        "007",
        "temp",
        "tc",
        "dc",
        "ic",
        "noisy",
        "e",
        "_x",
        "v",
        "pi",
        "sin",
        "MixedCase",
        "xtable",
        "acx",
    ]
    netlist = Netlist("names")
    for number, name in enumerate(names):
        netlist.add(
            CurrentSource(f"I{number}", "0", name, 1e-3),
            Resistor(f"R{number}", name, "0", 1e3),
            Capacitor(f"C{number}", name, "0", 1e-9),
            Inductor(f"L{number}", name, f"k{number}", 1e-3),
            VCVS(f"E{number}", f"e{number}", "0", name, "0", 0.5),
            VoltageSource(f"V{number}", f"v{number}", name, 0.25),
            VCCS(f"G{number}", name, "0", f"e{number}", name, 1e-4),
            Resistor(f"Ra{number}", f"k{number}", "0", 1e3),
            Resistor(f"Rb{number}", f"e{number}", "0", 1e3),
            Resistor(f"Rc{number}", f"v{number}", "0", 1e3),
        )
    space = state_space(netlist)
    voltages = run(netlist, OperatingPoint()).voltages
    assert tuple(voltages) == netlist.nodes
    np.testing.assert_allclose(list(voltages.values()), space.equilibrium(), rtol=1e-11)
    chosen = run(netlist, Transient(1e-6, nodes=names)).voltages
    assert list(chosen) == names


def test_what_run_rejects():
    netlist = one_rc()
    for analysis in (OperatingPoint(nodes=["zz"]), Transient(1e-6, nodes=["zz"])):
        with pytest.raises(InputError, match="no node 'zz'"):
            run(netlist, analysis)
    with pytest.raises(InputError, match="needs seed"):
        run(netlist, Transient(1e-6, step=1e-8, noise=True))
    for seed in ("a", -1, 1.5, True):
        with pytest.raises(InputError, match=f"seed is {seed!r}: give an integer >= 0"):
            run(netlist, Transient(1e-6, step=1e-8, noise=True), seed=seed)
    with pytest.raises(InputError, match="timeout"):
        run(netlist, OperatingPoint(), timeout=0.0)
    with pytest.raises(InputError, match="give a Netlist, as those of read_spice"):
        run("V1 a 0 1", OperatingPoint())
    with pytest.raises(InputError, match="OperatingPoint, Transient, Noise or AC"):
        run(netlist, ".op")
    with pytest.raises(InputError, match="ac != 0"):
        run(netlist, Noise("out", "V1", 1.0, 10.0))
    with pytest.raises(InputError, match="no element 'V2'"):
        run(netlist, Noise("out", "V2", 1.0, 10.0))
    with pytest.raises(InputError, match="no node 'zz'"):
        run(netlist, Noise("zz", "V1", 1.0, 10.0))
    currents = NoiseCurrents(("zz",), np.eye(1), 1e-8)
    with pytest.raises(InputError, match="no node 'zz'"):
        run(netlist, Transient(1e-6, step=1e-8, noise=True), seed=1, currents=currents)
    with pytest.raises(InputError, match=r"step of 1e-08 s, but Transient.step = 2e-08"):
        run(netlist, Transient(1e-6, step=2e-8, noise=True), seed=1, currents=currents)
    with pytest.raises(InputError, match="only injected with"):
        run(netlist, Transient(1e-6), currents=currents)
    netlist.add(Capacitor("C9", "floating", "0", 1e-9))
    with pytest.raises(InputError, match="floating"):
        run(netlist, OperatingPoint())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Transient(0.0),
        lambda: Transient(np.nan),
        lambda: Transient("1u"),
        lambda: Transient(1e-6, step=2e-6),
        lambda: Transient(1e-6, step=-1e-9),
        lambda: Transient(1e-6, noise=True),
        lambda: Transient(1e-6, step=1e-9, noise=True, samples=10),
        lambda: Transient(1e-6, samples=1),
        lambda: Transient(1e-6, tolerance=0.1),
        lambda: Transient(1e-6, nodes="out"),
        lambda: Noise("out", "V1", 10.0, 1.0),
        lambda: Noise("out", "V1", 1.0, 10.0, points_per_decade=0),
        lambda: Noise("o ut", "V1", 1.0, 10.0),
    ],
)
def test_bad_analyses_are_rejected(make):
    with pytest.raises(InputError):
        make()


def test_ngspices_own_words_are_in_the_error():
    """A singular circuit whose graph is fine: an E source that controls itself."""
    netlist = one_rc()
    netlist.add(VCVS("E1", "x", "0", "x", "0", 1.0), Resistor("R2", "x", "0", 1.0))
    with pytest.raises(SimulationError, match=r"(?i)ngspice.*printed.*singular"):
        run(netlist, OperatingPoint())
    assert run(one_rc(), OperatingPoint()).voltages["out"] == pytest.approx(1.0)


def test_a_complaint_at_load_is_an_error():
    """Lines that no Netlist can produce, sent past its checks: ngspice would go on after each of them."""
    worker = Worker(find_library())
    try:
        for line in ("Q1 a 0 0 nomodel", "R1 a", "C1 a 0 nonsense=3 1n", "V2 a 0 dc 2.0"):
            job = {"deck": ["* t", "V1 a 0 dc 1.0", line, ".op", ".end"], "vectors": ["a"]}
            with pytest.raises(SimulationError, match="ngspice"):
                worker.call(job, [], 30.0)
        good = {"deck": ["* t", "V1 a 0 dc 1.0", "R1 a 0 1.0", ".op", ".end"], "vectors": ["a"]}
        assert float(worker.call(good, [], 30.0)[1][0][-1]) == 1.0
        with pytest.raises(SimulationError, match="no vector zz"):
            worker.call({**good, "vectors": ["zz"]}, [], 30.0)
    finally:
        worker.close()


def test_without_libngspice_the_install_command_is_given(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere.so"))
    with pytest.raises(SimulatorMissing, match="apt-get install libngspice0"):
        run(one_rc(), OperatingPoint())
    fake = tmp_path / "libngspice.so.0"
    fake.write_text("not a library")
    monkeypatch.setenv(VARIABLE, str(fake))
    with pytest.raises(SimulatorMissing, match=r"cannot be loaded.*apt-get install"):
        run(one_rc(), OperatingPoint())


def test_nothing_found_anywhere(monkeypatch):
    from thermograd.circuits.ngspice import library

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(library.glob, "glob", lambda pattern: [])
    monkeypatch.setattr(library.ctypes.util, "find_library", lambda name: None)
    library._search.cache_clear()
    with pytest.raises(SimulatorMissing, match=f"apt-get install libngspice0 ngspice.*{VARIABLE}"):
        find_library()
    library._search.cache_clear()


def test_without_code_models_only_noise_fails(monkeypatch, tmp_path):
    POOL.close()
    monkeypatch.setenv("SPICE_LIB_DIR", str(tmp_path))  # no spinit there, so no analog.cm is loaded
    try:
        assert run(one_rc(), OperatingPoint()).voltages["out"] == pytest.approx(1.0)
        with pytest.raises(SimulatorMissing, match=r"filesource.*apt-get install"):
            run(one_rc(), Transient(1e-6, step=1e-8, noise=True), seed=1)
    finally:
        POOL.close()


def test_a_users_spiceinit_changes_nothing(monkeypatch, tmp_path):
    (tmp_path / ".spiceinit").write_text("set temp=200\nset ngbehavior=ps\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    POOL.close()
    log = run(one_rc(), OperatingPoint()).log
    assert "TEMP = 27.0" in log
    assert "No compatibility mode" in log


def test_title_and_comments_never_reach_ngspice():
    netlist = Netlist(".control quit .endc", comments=[".include /etc/passwd"])
    netlist.add(*one_rc())
    result = run(netlist, OperatingPoint())
    assert result.voltages["out"] == pytest.approx(1.0)
    assert "passwd" not in result.log


@pytest.mark.slow
def test_a_dense_array_runs():
    """Load time must grow with the number of lines, not its square: 2,400 parts here, 41,000 in benchmarks."""
    netlist = differential_array(24)
    result = run(netlist, Transient(2e-6, nodes=["xp0", "xm0"], tolerance=1e-5), timeout=300)
    np.testing.assert_allclose(result.voltages["xp0"], -result.voltages["xm0"], atol=1e-9)
    assert np.all(np.isfinite(result.voltages["xp0"]))


def test_random_rc_at_two_temperatures_has_the_same_mean():
    rc = random_rc(4, 1)
    cold = run(rc.netlist, OperatingPoint()).voltages
    hot = Netlist("hot", temperature=400.0)
    hot.add(*rc.netlist)
    assert run(hot, OperatingPoint()).voltages == pytest.approx(cold, rel=1e-12)


@needs_ngspice
def test_the_library_is_there_where_the_command_is():
    assert find_library()
