"""What `thermograd.devicemodel` and its rooms export: light to import, clean in dir(), the same objects as in their modules."""

import importlib
import subprocess
import sys

import pytest

ROOMS = ["calibration", "calibration.measured", "cascade", "cost", "devices", "host", "ou"]


@pytest.mark.parametrize("name", ["devicemodel", *(f"devicemodel.{room}" for room in ROOMS)])
def test_dir_is_the_public_names_and_each_loads(name):
    package = importlib.import_module(f"thermograd.{name}")
    assert dir(package) == sorted(package.__all__)
    for public in package.__all__:
        value = getattr(package, public)
        assert value.__module__.startswith(f"thermograd.{name}")
        assert value.__doc__
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = package.no_such_thing


def test_the_floor_exports_what_its_rooms_do():
    floor = importlib.import_module("thermograd.devicemodel")
    for room in ROOMS:
        package = importlib.import_module(f"thermograd.devicemodel.{room}")
        shared = set(dir(floor)) & set(dir(package))
        assert shared
        assert all(getattr(floor, public) is getattr(package, public) for public in shared)


def test_no_name_is_a_modules_name():
    """Whichever was imported first, a name is what the stub says."""
    for room in ROOMS:
        package = importlib.import_module(f"thermograd.devicemodel.{room}")
        for public in package.__all__:
            with pytest.raises(ModuleNotFoundError):
                importlib.import_module(f"thermograd.devicemodel.{room}.{public}")


def test_importing_it_loads_nothing_heavy():
    script = (
        "import sys, thermograd.devicemodel as d; print('numpy' in sys.modules); d.Scenario; print('torch' in sys.modules)"
        "; d.IdealDevice; print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["False", "False", "True"]


def test_the_first_lines_of_who_calibrates_and_who_trains():
    wanted = "IdealDevice SpiceDevice SurrogateDevice CascadeDevice DieBatch AnalogTile Dense LowRank Kronecker Implicit Device Solution "
    wanted += "Outcome ReadOut DeviceCard calibrate calibrate_from_measurements Prior OU step_cost HostedDevice Board Measurements"
    assert set(wanted.split()) <= set(dir(importlib.import_module("thermograd.devicemodel")))
