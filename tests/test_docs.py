"""The documentation's promises: its imports resolve, the files that it names exist, its links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from thermograd.compiler import fabric_names

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
PUBLIC = {"thermograd", *(f"thermograd.{name}" for name in ("circuits", "compiler", "devicemodel", "optim"))}
"""Where a reader looks for a name."""
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.*-]*|[\w-]+\.(?:py|md))`")
"""A path, or the bare name of a source file or page."""
DOTTED = re.compile(r"`(?:thermograd\.)?((?:circuits|compiler|devicemodel|optim)(?:\.\w+)+)")


def code_of(page: Path) -> list[str]:
    """The Python blocks of a page, fenced or indented behind a line that imports."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def resolves(dotted: str) -> bool:
    """Whether a name such as `circuits.linear.johnson.johnson_currents` is there."""
    found = importlib.import_module("thermograd")
    for name in dotted.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            try:
                found = importlib.import_module(f"{found.__name__}.{name}")
            except ImportError:
                return False
    return True


def named(text: str) -> list[str]:
    """The paths that a text names in backticks, but for those of results."""
    return [name for name in PATH.findall(text) if not name.startswith(("out/", "/", "~"))]


def imported(source: str) -> list[tuple[str, str]]:
    """(module, name) of every import from thermograd, and of every attribute of `thermograd` under its usual short name."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "thermograd":
            found += [(str(node.module), alias.name) for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tg":
            found.append(("thermograd", node.attr))
    return found


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLES], ids=lambda path: path.name)
def test_every_name_is_imported_from_where_a_reader_looks(page: Path) -> None:
    sources = [page.read_text(encoding="utf-8")] if page.suffix == ".py" else code_of(page)
    for source in sources:
        for module, name in imported(source):
            assert module in PUBLIC, f"{module}.{name}"
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_public_name_that_code_uses_is_imported_on_its_page(page: Path) -> None:
    public = {name for package in PUBLIC for name in importlib.import_module(package).__all__}
    nodes = [node for source in code_of(page) for node in ast.walk(ast.parse(source))]
    imports = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    known = {alias.asname or alias.name for alias in imports}
    known |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    known |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    assert {node.id for node in names} & public <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_dotted_name_in_the_text_exists(page: Path) -> None:
    for dotted in DOTTED.findall(page.read_text(encoding="utf-8")):
        assert resolves(dotted), dotted


def test_a_dotted_name_that_does_not_exist_is_seen() -> None:
    found = DOTTED.findall("`circuits.run` and `thermograd.circuits.cells.Macromodel(x)`, not `optim/tasks`")
    assert found == ["circuits.run", "circuits.cells.Macromodel"]
    assert [resolves(dotted) for dotted in found] == [True, False]


def test_an_import_from_elsewhere_is_seen() -> None:
    source = "import thermograd as tg\nfrom thermograd.optim.curvature.factor import Factor\ntg.KFAC"
    assert imported(source) == [("thermograd.optim.curvature.factor", "Factor"), ("thermograd", "KFAC")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_path_that_is_named_exists(page: Path) -> None:
    for name in named(page.read_text(encoding="utf-8")):
        assert list(ROOT.glob(name.rstrip("/"))) or list(page.parent.glob(name.rstrip("/"))), name


def test_a_path_that_does_not_exist_is_seen() -> None:
    text = "see `circuits/no_such_room/`, `test_layout_law.py`, `out/report.html`, `A / B`, `docs/no.png` and `circuits/files.py`"
    assert named(text) == ["circuits/no_such_room/", "test_layout_law.py", "docs/no.png", "circuits/files.py"]
    assert not list(ROOT.glob("circuits/no_such_room"))


def test_the_compilers_page_lists_the_fabrics_of_the_registry() -> None:
    text = (ROOT / "docs" / "compiler.md").read_text(encoding="utf-8")
    table = text.split("## Fabrics")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(fabric_names())


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLES], ids=lambda page: page.name)
def test_no_command_takes_data_from_a_folder_that_a_reader_does_not_have(page):
    assert "../shared" not in page.read_text(encoding="utf-8")


def test_the_help_of_characterise_takes_a_netlist_that_is_here():
    [path] = re.findall(
        r"thermograd characterise (\S*two_stage\.cir)", (ROOT / "cli/characterise.py").read_text(encoding="utf-8")
    )
    assert (ROOT / path).is_file()
