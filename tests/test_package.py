"""The package as a whole: what it exports, what importing it costs, what depends on what, what is shipped."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import thermograd

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ["circuits", "compiler", "devicemodel", "optim", "report", "cli"]  # from the ground up
PUBLIC = ["thermograd", *(f"thermograd.{name}" for name in ("circuits", "compiler", "devicemodel", "optim", "report"))]
"""The packages that export names."""
ROOT_FOLDERS = ["benchmarks", "docs", "examples", "tests", "tools"]
ROOT_FILES = [
    "__init__.py",
    "__init__.pyi",
    "__main__.py",
    "py.typed",
    "pyproject.toml",
    "constraints.txt",
    "Makefile",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
]
MOST_FILES = 20
"""Python files in one folder, `__init__.py` among them."""
SHIPPED = (".py", ".pyi", ".html", ".css", ".js")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def modules() -> list[Path]:
    """Every module of the package, as a path relative to the root."""
    inside = [path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")]
    return [path.relative_to(ROOT) for path in [*inside, *ROOT.glob("*.py")]]


def loaded_by(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after `statement`."""
    script = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    return set(run.stdout.split())


def floor_of(parts: tuple[str, ...]) -> int | None:
    """Height of the floor of a module (named without `thermograd`); None for the root and its lazy names."""
    return FLOORS.index(parts[0]) if parts and parts[0] in FLOORS else None


def imports_of(path: Path, source: str) -> list[tuple[str, ...]]:
    """Modules of thermograd that `source`, being the module at `path`, imports, each named without `thermograd`."""
    package = path.parent.parts
    found: list[tuple[str, ...]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
            found += [name[1:] for name in names if name[0] == "thermograd"]
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = package[: len(package) - node.level + 1] + module
            elif module[:1] == ("thermograd",):
                base = module[1:]
            else:
                continue
            found += [(*base, alias.name) for alias in node.names]
    return found


def climbs(path: Path, source: str) -> list[str]:
    """The imports of `source` that reach a higher floor than the module at `path` is on."""
    here = floor_of((*path.parent.parts, path.stem))
    if here is None:
        return []
    heights = [(target, floor_of(target)) for target in imports_of(path, source)]
    return [f"{path} imports {'.'.join(target)}" for target, height in heights if height is not None and height > here]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_loads_and_nothing_else_is_listed(name: str) -> None:
    package = importlib.import_module(name)
    for public in package.__all__:
        assert getattr(package, public) is not None
    assert len(set(package.__all__)) == len(package.__all__) > 9
    assert set(dir(package)) == set(package.__all__)


def test_the_three_kinds_of_users_find_their_names() -> None:
    designer = {
        *(
            "Resistor",
            "Capacitor",
            "VoltageSource",
            "Netlist",
            "read_spice",
            "run",
            "OperatingPoint",
            "Transient",
            "Noise",
            "AC",
        ),
        *("Technology", "preset", "Macromodel", "Amplifier", "characterise", "AnalogProgram", "load_program"),
        *("compile_matrix", "compile_system", "compile_ensemble"),
    }
    calibrator = {
        *("calibrate", "calibrate_from_measurements", "DeviceCard", "Prior", "Outcome", "Solution", "ReadOut")
    }
    trainer = {
        *("NGD", "NGDCG", "NGDWoodbury", "KFAC", "TNGD", "LevenbergMarquardt", "train", "make_task"),
        *(
            "IdealDevice",
            "SurrogateDevice",
            "SpiceDevice",
            "CascadeDevice",
            "DieBatch",
            "Dense",
            "LowRank",
            "Kronecker",
        ),
    }
    assert designer | calibrator | trainer <= set(dir(thermograd))


def test_the_type_checker_sees_the_names(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text("import thermograd as tg\nx: int = tg.KFAC\ntg.no_such_thing\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--follow-imports",
        "silent",
    ]
    run = subprocess.run(
        [*command, str(tmp_path / "use.py")], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert "type[KFAC]" in run.stdout, run.stdout + run.stderr
    assert 'Module has no attribute "no_such_thing"' in run.stdout


def test_type_checkers_see_the_defaults_of_records() -> None:
    """PEP 681: a default that is no keyword of `Field` is none to editors, nor to mypy without pydantic's plugin: `OpAmp()` lacks 18."""
    found = []
    for path in modules():
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Field" and node.args:
                found.append(f"{path}:{node.lineno}")
    assert not found, f"give default= by keyword: {', '.join(found)}"


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = thermograd.no_such_thing


def test_version_is_that_of_pyproject() -> None:
    assert thermograd.__version__ == PYPROJECT["project"]["version"]
    assert f"## [{thermograd.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_importing_the_packages_loads_nothing_heavy() -> None:
    loaded = loaded_by("import " + ", ".join(PUBLIC))
    assert loaded.isdisjoint({"torch", "numpy", "scipy", "PySpice", "matplotlib", "pydantic"})
    assert {module for module in loaded if module.startswith("thermograd.")} == set(PUBLIC) - {"thermograd"}


def module_names(*floors: int) -> list[str]:
    """The modules of these floors, as they are imported."""
    paths = [path for path in modules() if floor_of(path.parts) in floors]
    return [".".join(("thermograd", *path.with_suffix("").parts)).removesuffix(".__init__") for path in paths]


def beyond_a_plain_install() -> set[str]:
    """Importable names that `pip install thermograd` without an extra would not bring."""
    plain: set[str] = set()
    waiting = [Requirement(one) for one in PYPROJECT["project"]["dependencies"]]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in plain:
            plain.add(name)
            for extra in ("", *requirement.extras):
                more = [Requirement(one) for one in importlib.metadata.requires(name) or ()]
                waiting += [one for one in more if one.marker is None or one.marker.evaluate({"extra": extra})]
    here = importlib.metadata.packages_distributions()
    beyond = {name for name, owners in here.items() if plain.isdisjoint(map(canonicalize_name, owners))}
    return {name for name in beyond if name.isidentifier()} - {"thermograd", "setuptools", "pkg_resources"}


@pytest.mark.slow
def test_a_plain_install_imports_every_module_and_the_lower_floors_do_not_load_torch() -> None:
    """Without any package that only an extra brings."""
    beyond, low, high = beyond_a_plain_install(), module_names(0, 1), module_names(2, 3, 4, 5)
    assert {"transformers", "lightning", "distributed", "pyarrow", "tensorboard", "nbclient", "pytest"} <= beyond
    assert min(len(low), len(high)) > 10
    hide = f"sys.modules.update(dict.fromkeys({sorted(beyond)}))"  # None: as if it was not installed
    loaded = loaded_by(f"{hide}\nimport {', '.join(low)}\nassert 'torch' not in sys.modules\nimport {', '.join(high)}")
    assert {"torch", *low, *high} <= loaded


def test_no_test_is_skipped_for_a_missing_package() -> None:
    """`make test` installs what they need."""
    word = "import" + "orskip"
    assert [path.name for path in (ROOT / "tests").rglob("*.py") if word in path.read_text(encoding="utf-8")] == []


def test_imports_only_go_down() -> None:
    climbing = [line for path in modules() for line in climbs(path, (ROOT / path).read_text(encoding="utf-8"))]
    assert climbing == []


@pytest.mark.parametrize(
    "source",
    [
        "from ..optim.tngd import TNGD",
        "from .. import optim",
        "import thermograd.cli.main",
        "from thermograd.devicemodel import ou",
    ],
)
def test_an_import_that_goes_up_is_seen(source: str) -> None:
    assert climbs(Path("compiler/parts.py"), source)
    assert not climbs(Path("cli/main.py"), source.replace("from ..", "from ."))


def test_nothing_stands_at_the_root_but_the_rooms_and_two_modules() -> None:
    there = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and path.suffix != ".egg-info"}
    assert there <= {*FLOORS, *ROOT_FOLDERS, *ROOT_FILES, "build", "dist", "out", "shared", "__pycache__"}
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_no_folder_holds_more_files_than_a_reader_takes_in() -> None:
    tops = [ROOT / name for name in (*FLOORS, *ROOT_FOLDERS)]
    folders = [ROOT, *tops, *(path for top in tops for path in top.rglob("*") if path.is_dir())]
    crowded = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {name: count for name, count in crowded.items() if count > MOST_FILES} == {}
    assert crowded["cli"] > 10


def test_tests_mirror_the_tree() -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    missing = {str(path) for path in folders if not (ROOT / path).is_dir()}
    assert missing == set()


def test_pyproject_lists_every_package() -> None:
    directories = {path.parent for path in modules() if path.name == "__init__.py"}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == {".".join(("thermograd", *d.parts)) for d in directories}
    without_init = {path.parent for path in modules()} - directories
    assert without_init == set()


@pytest.mark.slow
def test_a_wheel_holds_every_module_stub_and_template_and_nothing_else(tmp_path: Path) -> None:
    for name in [
        *FLOORS,
        "__init__.py",
        "__init__.pyi",
        "__main__.py",
        "py.typed",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    ]:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text("", encoding="utf-8")
    wanted = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.suffix in SHIPPED}
    for floor in ("circuits", "devicemodel"):
        wanted |= {path.relative_to(tmp_path).as_posix() for path in (tmp_path / floor).rglob("*.toml")}
    wanted |= {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "devicemodel").rglob("*.json")}
    wanted = {f"thermograd/{name}" for name in wanted - {"tests/test_it.py"}} | {"thermograd/py.typed"}
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", "wheels", "."]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    [wheel] = (tmp_path / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as file:
        assert {name for name in file.namelist() if name.startswith("thermograd/")} == wanted


def test_console_script_is_a_function() -> None:
    module, name = PYPROJECT["project"]["scripts"]["thermograd"].split(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_constraints_pin_every_dependency_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    project = PYPROJECT["project"]
    wanted = project["dependencies"] + [d for extra in project["optional-dependencies"].values() for d in extra]
    names = {re.split(r"[\[>=<]", dependency)[0].lower() for dependency in wanted}
    names -= {"thermograd"}  # an extra may take in others
    assert names <= {pin.split("==")[0] for pin in pins}


def test_make_help_names_every_target() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    run = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    listed = re.findall(r"^  make (\w+) +\S", run.stdout, flags=re.MULTILINE)
    assert {"help", "setup", "demo", "test", "lint", "bench"} <= set(listed)
    assert (
        subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, env=environment).stdout
        == run.stdout
    )
