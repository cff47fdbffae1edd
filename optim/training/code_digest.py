"""A digest of a Python object with all the code and data that it depends on: a result of older code is not taken for one of today's.

Of a function count its byte code and constants, its defaults, the variables that it closes over, and what it names in its module:
functions, classes and data, and of other modules of the user's the names that are used, and so on. What is installed (the standard library,
site-packages, thermograd) counts by name and version. The digest does not see comments, nor what is found at run time: by `getattr` with a
computed name, in files, in the environment.
"""

from __future__ import annotations

import ast
import dis
import functools
import hashlib
import importlib.util
import site
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...circuits.errors import InputError

_PACKAGE = Path(__file__).resolve().parents[2]
_FLOORS = (
    *(_PACKAGE / name for name in ("circuits", "compiler", "devicemodel", "optim", "report", "cli")),
    _PACKAGE / "__init__.py",
)
"""Of thermograd; a clone of it may hold files of the user's besides."""
_PLACES: list[str] = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_PLACES += [*site.getsitepackages(), site.getusersitepackages()]
_INSTALLED = (*_FLOORS, *(Path(place).resolve() for place in dict.fromkeys(_PLACES)))
_ATOMS = (int, float, complex, bool, str, bytes, type(None), type(...), type(NotImplemented), range, slice)
_OF_CLASSES = {
    "__dict__",
    "__weakref__",
    "__module__",
    "__doc__",
    "__annotations__",
    "__abstractmethods__",
    "_abc_impl",
}


@dataclass(frozen=True)
class CodeDigest:
    """What an object depends on.

    Attributes:
        text: hexadecimal; the same in every process of one version of Python, numpy and torch.
        modules: of the user's that were met, other than `__main__`.
        imported: names of the user's modules that a function imports when it runs.
        folders: where those are.
    """

    text: str
    modules: tuple[types.ModuleType, ...]
    imported: tuple[str, ...]
    folders: tuple[str, ...]


def code_digest(value: Any, name: str) -> CodeDigest:
    """The digest of an object.

    Args:
        value: a function, or any object that can be pickled or is made of such.
        name: of it in errors.

    Raises:
        InputError: something in it can be neither digested nor sent to another process, such as an open file.
    """
    walk = _Walk()
    walk.visit((sys.version_info[:2], np.__version__, torch.__version__), name)
    walk.visit(value, name)
    return CodeDigest(
        walk.hash.hexdigest(),
        tuple(walk.modules.values()),
        tuple(walk.found),
        tuple(dict.fromkeys(walk.found.values())),
    )


def is_users(module: types.ModuleType | None) -> bool:
    """Whether a module is the user's own: `__main__`, one without a file, or one whose file is in no place for installed packages."""
    if module is None or module.__name__ == "__main__":
        return True
    if module.__name__.partition(".")[0] in sys.builtin_module_names:
        return False
    origin = getattr(module, "__file__", None)
    if origin is None:  # a folder without __init__.py, or a module that was made at run time
        folders = list(getattr(module, "__path__", ()))
        return (
            any(is_users_file(Path(one)) for one in folders) if folders else getattr(module, "__spec__", None) is None
        )
    return is_users_file(Path(origin))


def is_users_file(origin: Path) -> bool:
    """Whether a file is in no place for installed packages, and not thermograd's."""
    path = origin.resolve()
    return not any(path.is_relative_to(place) for place in _INSTALLED)


@dataclass
class _Walk:
    """Goes through an object and what it refers to, each once."""

    hash: Any = field(default_factory=hashlib.sha256)
    seen: dict[int, int] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)  # so that no id is given a second time
    modules: dict[str, types.ModuleType] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)  # packages without a file of their own
    found: dict[str, str] = field(default_factory=dict)  # what is imported when a function runs, and where it is
    uses: set[tuple[str, str]] = field(default_factory=set)

    def put(self, *parts: Any) -> None:
        for part in parts:
            blob = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
            self.hash.update(len(blob).to_bytes(8, "little") + blob)

    def visit(self, value: Any, name: str) -> None:
        """Take in one object; `name` says where it is, for errors."""
        if isinstance(value, _ATOMS) and type(value) in _ATOMS:
            self.put(type(value).__name__, repr(value))
            return
        if not isinstance(value, tuple | frozenset | types.CodeType):  # equal constants may be one object or several
            if id(value) in self.seen:
                self.put("again", self.seen[id(value)])
                return
            self.seen[id(value)] = len(self.seen)
            self.kept.append(value)
        self.put(type(value).__module__, type(value).__qualname__)
        if isinstance(value, list | tuple):
            self.each(value, name)
        elif isinstance(value, dict | types.MappingProxyType):
            for key, entry in value.items():
                self.visit(key, f"a key of {name}")
                self.visit(entry, f"{name}[{key!r}]")
        elif isinstance(value, set | frozenset):
            parts = [code_digest(entry, f"an entry of {name}") for entry in value]
            self.put(*sorted(part.text for part in parts))
            for part in parts:
                self.modules |= {module.__name__: module for module in part.modules}
                self.found |= dict.fromkeys(part.imported, "")
        elif isinstance(value, np.ndarray) and value.dtype != object:
            self.put(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
        elif isinstance(value, torch.Tensor) and type(value) in (torch.Tensor, torch.nn.Parameter):
            self.put(value.dtype, tuple(value.shape), value.requires_grad, _bytes(value))
        elif isinstance(value, types.ModuleType):
            self.put(value.__name__, _version(value.__name__))
        elif isinstance(value, types.FunctionType):
            self.function(value, name)
        elif isinstance(value, types.CodeType):
            self.code(value, name)
        elif isinstance(value, types.MethodType):
            self.each((value.__func__, value.__self__), name)
        elif isinstance(value, type):
            self.type(value, name)
        elif isinstance(value, staticmethod | classmethod):
            self.visit(value.__func__, name)
        elif isinstance(value, property):
            self.each((value.fget, value.fset, value.fdel), name)
        elif isinstance(value, types.BuiltinFunctionType):
            self.put(value.__module__, value.__qualname__)
        else:
            self.reduced(value, name)

    def each(self, values: Iterable[Any], name: str) -> None:
        for k, value in enumerate(values):
            self.visit(value, f"{name}[{k}]")

    def function(self, function: types.FunctionType, name: str) -> None:
        module = sys.modules.get(function.__module__ or "")
        self.put(function.__qualname__)
        self.each((function.__defaults__, function.__kwdefaults__), f"the defaults of {name}")
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                held = cell.cell_contents
            except ValueError:  # not yet assigned
                self.put("empty")
                continue
            self.visit(held, f"{variable} of {name}")
        if not is_users(module):
            self.put(function.__module__, _version(function.__module__))
            return
        if module is not None and module.__name__ != "__main__":
            self.modules[module.__name__] = module
        self.code(function.__code__, name)
        package = str(function.__globals__.get("__package__") or "")
        for imported, level, names in _imports(function.__code__):
            self.imported(_absolute(imported, level, package), names)
        used = sorted(_names(function.__code__))
        for one in used:
            if one in function.__globals__:
                self.named(one, function.__globals__[one], used, name)

    def named(self, one: str, value: Any, used: list[str], name: str) -> None:
        """A global variable; of a module of the user's, those that are named, too."""
        self.put(one)
        self.visit(value, f"{one} of {name}")
        if isinstance(value, types.ModuleType) and is_users(value):
            self.modules[value.__name__] = value
            for inner in used:
                if inner in vars(value) and (value.__name__, inner) not in self.uses:
                    self.uses.add((value.__name__, inner))
                    self.named(inner, vars(value)[inner], used, value.__name__)

    def code(self, code: types.CodeType, name: str) -> None:
        self.put(code.co_code, code.co_flags, *code.co_varnames, *code.co_names, *code.co_freevars)
        self.each(code.co_consts, f"a constant of {name}")

    def imported(self, module: str, names: Iterable[str] = ()) -> None:
        """What a function imports when it runs, with names that may be modules: of the user's the whole text, and of what they import."""
        self.text_of(module)
        if module in self.found or module in self.folders:
            for one in names:
                self.text_of(f"{module}.{one}")

    def text_of(self, module: str) -> None:
        """The text of a module, once."""
        if module in self.texts:
            return
        self.texts.add(module)
        try:
            spec = sys.modules[module].__spec__ if module in sys.modules else importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):
            spec = None
        path = Path(spec.origin) if spec is not None and spec.origin and spec.has_location else None
        if path is None or path.suffix != ".py" or not is_users_file(path):
            places = (spec.submodule_search_locations or ()) if spec is not None and path is None else ()
            if any(is_users_file(Path(one)) for one in places):
                self.folders.add(module)
            self.put(module, _version(module))
            return
        text = path.read_bytes()
        self.put(module, text)
        depth = module.count(".") + (path.name == "__init__.py")
        self.found[module] = str(path.resolve().parents[depth])
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imported(alias.name)
            elif isinstance(node, ast.ImportFrom):
                base = _absolute(node.module or "", node.level, package)
                self.imported(base, [alias.name for alias in node.names])

    def type(self, kind: type, name: str) -> None:
        self.put(kind.__module__, kind.__qualname__)
        module = sys.modules.get(kind.__module__)
        if not is_users(module):
            self.put(_version(kind.__module__))
            return
        if module is not None and module.__name__ != "__main__":
            self.modules[module.__name__] = module
        self.each(kind.__bases__, f"a base of {name}")
        for entry, value in vars(kind).items():
            if entry not in _OF_CLASSES:
                self.put(entry)
                self.visit(value, f"{name}.{entry}")

    def reduced(self, value: Any, name: str) -> None:
        """Any other object by what pickle would keep of it, and what it wraps, such as the function of `functools.lru_cache`."""
        if hasattr(value, "__wrapped__"):
            self.visit(value.__wrapped__, name)
        try:
            parts = value.__reduce_ex__(4)
        except Exception as error:  # what is raised depends on the object's class
            raise InputError(
                f"{name} is a {type(value).__name__}, which cannot be sent to another process ({error}): make it inside of the function"
            ) from error
        if isinstance(parts, str):
            self.put(parts)
            return
        for k, part in enumerate(parts):
            if isinstance(part, Iterator):
                self.each(list(part), name)
            elif k == 2 and isinstance(part, dict):  # what is computed once depends on the rest
                kept = {one: held for one, held in part.items() if not _is_cached(value, one)}
                self.visit(kept, name)
            else:
                self.visit(part, name)


def _names(code: types.CodeType) -> set[str]:
    """Names that the code and the functions in it use of their module, and attributes of what they use."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found


def _imports(code: types.CodeType) -> Iterator[tuple[str, int, list[str]]]:
    """(module, level, names) of the imports in the code and in the functions in it."""
    constants: list[Any] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_CONST":
            constants.append(instruction.argval)
        elif instruction.opname == "IMPORT_NAME":  # after its level and its names
            level, names = constants[-2:]
            yield instruction.argval, int(level), list(names or ())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imports(constant)


def _absolute(module: str, level: int, package: str) -> str:
    return importlib.util.resolve_name("." * level + module, package) if level and package else module


def _is_cached(value: Any, name: str) -> bool:
    return isinstance(getattr(type(value), name, None), functools.cached_property)


def _bytes(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().cpu().contiguous()
    return plain.view(torch.uint8).numpy().tobytes() if plain.dim() else repr(plain.item()).encode()


def _version(module: str | None) -> str:
    top = sys.modules.get((module or "").partition(".")[0])
    return str(getattr(top, "__version__", ""))
