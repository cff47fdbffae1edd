"""What `thermograd.circuits` and its packages export: light to import, clean in dir(), the same objects as in their modules."""

import importlib
import subprocess
import sys

import pytest

ROOMS = ["amplifiers", "linear", "netlist", "ngspice", "spice", "technology"]
PACKAGES = ["circuits", *(f"circuits.{room}" for room in ROOMS)]
CONSTANTS = ("DIALECTS", "PRESETS", "RECORDS", "SITUATIONS")


@pytest.mark.parametrize("name", PACKAGES)
def test_dir_is_the_public_names_and_each_loads(name):
    package = importlib.import_module(f"thermograd.{name}")
    assert dir(package) == sorted(package.__all__)
    for public in package.__all__:
        value = getattr(package, public)
        assert public in CONSTANTS or (value.__module__.startswith(f"thermograd.{name}") and value.__doc__)
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = package.no_such_thing


def test_the_floor_exports_what_its_rooms_do():
    """The same objects, but for what only a specialist asks a room for."""
    floor = importlib.import_module("thermograd.circuits")
    for room in ROOMS:
        package = importlib.import_module(f"thermograd.circuits.{room}")
        shared = set(dir(floor)) & set(dir(package))
        assert len(shared) >= len(dir(package)) / 3
        assert all(getattr(floor, public) is getattr(package, public) for public in shared)


def test_functions_named_as_their_modules_are_the_functions():
    """After the modules of the same names were imported, too."""
    for module in ("ngspice.run", "ngspice.run_many", "amplifiers.characterise"):
        importlib.import_module(f"thermograd.circuits.{module}")
    from thermograd.circuits.amplifiers import characterise
    from thermograd.circuits.ngspice import run, run_many

    assert [one.__name__ for one in (run, run_many, characterise)] == ["run", "run_many", "characterise"]


def test_importing_loads_nothing_until_a_name_is_used():
    script = "import sys, {}; {}; print('numpy' in sys.modules)"
    packages = ", ".join(f"thermograd.{name}" for name in PACKAGES)
    for use, loaded in (("pass", "False"), ("thermograd.circuits.Netlist", "True")):
        run = subprocess.run(
            [sys.executable, "-c", script.format(packages, use)],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        assert run.stdout.strip() == loaded


def test_a_designers_first_lines():
    """Parts, a netlist, its text read back, a simulation, a technology and a die of it."""
    script = """
from thermograd.circuits import Capacitor, Die, Netlist, Resistor, Transient, VoltageSource, parse_spice, preset, run
netlist = Netlist("rc")
netlist.add(VoltageSource("V1", "in", "0", 1.0), Resistor("R1", "in", "out", 1e3), Capacitor("C1", "out", "0", 1e-9))
result = run(parse_spice(netlist.to_spice()), Transient(2e-5))
print(round(result.voltages["out"][-1], 6), Die(preset("integrated"), 1).seed)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert found.stdout.split() == ["1.0", "1"]
