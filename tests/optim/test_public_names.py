"""What `thermograd.optim` and its packages export: light to import, clean in dir(), the same objects as in their modules."""

import importlib
import subprocess
import sys

import pytest

PACKAGES = ["optim", "optim.codesign", "optim.curvature", "optim.optimizers", "optim.tasks", "optim.training"]


@pytest.mark.parametrize("name", PACKAGES)
def test_dir_is_the_public_names_and_each_loads(name):
    package = importlib.import_module(f"thermograd.{name}")
    assert dir(package) == sorted(package.__all__)
    for public in package.__all__:
        value = getattr(package, public)
        home = getattr(value, "__module__", None)
        assert (
            home is None
            or home.startswith("thermograd.optim")
            or public in ("OPTIMIZERS", "Closure", "CurvatureKind", "Damping")
        )
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = package.no_such_thing


def test_functions_named_as_their_modules_are_the_functions():
    """After the modules of the same names were imported, too."""
    importlib.import_module("thermograd.optim.training.train")
    importlib.import_module("thermograd.optim.training.landscape")
    importlib.import_module("thermograd.optim.tasks.digits")
    from thermograd.optim.tasks import digits
    from thermograd.optim.training import landscape, train

    assert [one.__name__ for one in (digits, landscape, train)] == ["digits", "landscape", "train"]


def test_importing_loads_no_torch_until_a_name_is_used():
    script = "import sys, {}; {}; print('torch' in sys.modules)"
    packages = ", ".join(f"thermograd.{name}" for name in PACKAGES)
    for use, loaded in (("", "False"), ("thermograd.optim.NGD", "True")):
        run = subprocess.run(
            [sys.executable, "-c", script.format(packages, use or "pass")],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        assert run.stdout.strip() == loaded


def test_what_the_issue_asks_for_is_there():
    """The names that a trainer begins with."""
    optim = importlib.import_module("thermograd.optim")
    wanted = "NGD NGDCG NGDWoodbury KFAC TNGD LevenbergMarquardt NaturalGradient NaturalGradientConfig Curvature evaluate train"
    wanted += " History make_task TASKS make_optimizer follow landscape study KNOBS"
    assert set(wanted.split()) <= set(dir(optim))
