"""What `thermograd.compiler` exports: light to import, clean in dir(), the same objects as in their modules."""

import importlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "name", ["compiler", "compiler.analysis", "compiler.decks", "compiler.fabrics", "compiler.layout"]
)
def test_dir_is_the_public_names_and_each_loads(name):
    package = importlib.import_module(f"thermograd.{name}")
    assert dir(package) == sorted(package.__all__)
    for public in package.__all__:
        assert getattr(package, public).__module__.startswith("thermograd.compiler")
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = package.no_such_thing


def test_importing_it_loads_nothing_heavy_and_using_it_no_torch():
    script = (
        "import sys, thermograd.compiler as c; print('numpy' in sys.modules); c.describe; print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["False", "False"]


def test_what_a_designer_begins_with_is_there():
    wanted = "compile_matrix compile_system compile_ensemble AnalogProgram save_program load_program LinearSystem fabric_names "
    wanted += "Fabric Parts describe Report place_on_tiles Placement verify derive_equations extract_layout self_heated"
    assert set(wanted.split()) <= set(dir(importlib.import_module("thermograd.compiler")))
