"""The digest of a function: the same in every process, and another one for whatever its results depend on."""

import dataclasses
import functools
import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.optim.codesign.trainings import SentTraining, as_training
from thermograd.optim.tasks.burgers import burgers
from thermograd.optim.tasks.digits import digits
from thermograd.optim.tasks.poisson import poisson
from thermograd.optim.training.code_digest import code_digest

FILE = """
import dataclasses
import functools
import torch
import {helper}
RATE, TABLE = 0.1, {{"b": (1, 2), "a": frozenset({{"x", "y", "z"}})}}
@dataclasses.dataclass
class Settings:
    width: int = 4
    def twice(self):
        return 2 * self.width
SETTINGS = Settings()
START = torch.arange(3.0)
@functools.lru_cache
def cached(x):
    return x + RATE
def inner(x):
    return sum(RATE * y for y in x)
def unused():
    return 1
def train(device, seed, scale=2.0):
    if seed in {{"many", "constants", 7}}:
        return 0
    import {other}
    from study_package import near
    held = SETTINGS.twice() * len(TABLE) + cached(seed) + float(START.sum())
    return near.far(seed) + inner([scale, held]) + {helper}.part(seed) + (lambda: {other}.last(seed))()
"""
HELPER = "FACTOR = 3\ndef part(x):\n    return deeper(x) * FACTOR\ndef deeper(x):\n    return x\ndef idle(x):\n    return 0\n"
OTHER = "def last(x):\n    return x\n"
NEAR, DEEP = "from .deep import far\n", "def far(x):\n    return x + 1\n"


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """The digest of `train` in a file with changes of its text, and of what it imports."""
    monkeypatch.syspath_prepend(tmp_path)
    names = iter(range(100))

    def made(changes=(), at_import=lambda module: None):
        k = next(names)
        texts = {"study_file": FILE, "study_helper": HELPER, "study_other": OTHER}
        texts |= {"study_package/near": NEAR, "study_package/deep": DEEP}
        (tmp_path / "study_package").mkdir(exist_ok=True)  # without __init__.py
        for old, new in changes:
            assert any(old in text for text in texts.values())
            texts = {name: text.replace(old, new) for name, text in texts.items()}
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(
                text.format(helper="study_helper", other="study_other") if name == "study_file" else text
            )
            sys.modules.pop(name.replace("/", "."), None)
        importlib.invalidate_caches()
        for cached in tmp_path.rglob("__pycache__/*"):  # files that change within a second
            cached.unlink()
        module = importlib.import_module("study_file")
        at_import(module)
        assert k < 99
        return code_digest(module.train, "train")

    yield made
    for name in [one for one in sys.modules if one.startswith("study_")]:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE, TABLE = 0.1", "RATE, TABLE = 0.2"),
        ('"x", "y"', '"x", "w"'),
        ("width: int = 4", "width: int = 5"),
        ("return 2 * self.width", "return 3 * self.width"),
        ("torch.arange(3.0)", "torch.arange(4.0)"),
        ("return x + RATE", "return x - RATE"),
        ("RATE * y for y", "RATE + y for y"),
        ("scale=2.0", "scale=2.5"),
        ('"constants", 7', '"constants", 8'),
        ("FACTOR = 3", "FACTOR = 4"),
        ("def deeper(x):\n    return x", "def deeper(x):\n    return 2 * x"),
        ("def last(x):\n    return x", "def last(x):\n    return -x"),
        ("return x + 1", "return x + 2"),
    ],
)
def test_whatever_the_function_uses_changes_it(digest_of, old, new):
    assert digest_of([(old, new)]).text != digest_of().text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def unused():\n    return 1", "def unused():\n    return 2"),
        ("def idle(x):\n    return 0", "def idle(x):\n    return 1"),
        ("RATE, TABLE", "# a comment\nRATE, TABLE"),
    ],
)
def test_comments_and_what_it_does_not_use_leave_it(digest_of, old, new):
    assert digest_of([(old, new)]).text == digest_of().text


def test_a_variable_that_was_set_after_the_import_counts(digest_of):
    """As by a script's command line; the file is the same."""
    assert digest_of(at_import=lambda module: setattr(module, "RATE", 0.5)).text != digest_of().text
    assert digest_of(at_import=lambda module: setattr(module.study_helper, "FACTOR", 5)).text != digest_of().text


def test_what_a_worker_must_take_anew_is_listed(digest_of):
    found = digest_of()
    assert {module.__name__ for module in found.modules} == {"study_file", "study_helper"}
    assert set(found.imported) == {"study_other", "study_package.near", "study_package.deep"}


@pytest.mark.slow
def test_every_process_finds_the_same(digest_of, tmp_path):
    """Whatever the order of its sets, and from compiled files too."""
    here, script = (
        digest_of().text,
        "import study_file; from thermograd.optim.training.code_digest import code_digest as d; ",
    )
    for seed in ("1", "2"):
        command = [sys.executable, "-c", f"{script} print(d(study_file.train, 'train').text)"]
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(tmp_path), "PATH": ""}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert run.stdout.strip() == here


def test_values_of_closures_partials_tasks_and_arrays_count():
    def of(value):
        return code_digest(value, "value").text

    def closure(x):
        return lambda: x

    assert of(closure(1)) == of(closure(1)) != of(closure(2))
    assert of(functools.partial(max, 1)) != of(functools.partial(max, 2))
    assert of(digits()) == of(digits()) != of(digits(hidden=16))
    assert of(poisson()) == of(poisson()) != of(poisson(weight=10.0))
    used = burgers()
    assert used.grid
    assert of(used) == of(burgers())  # what it computed once depends on the rest
    assert of(np.arange(3)) != of(np.arange(3.0))
    assert of(torch.zeros(2)) != of(torch.zeros(2, dtype=torch.float64))
    assert of(1.0) != of(1) != of(True)
    assert of([1, [2, 3]]) != of([1, 2, [3]])
    assert of(-0.0) != of(0.0)
    ring = [1]
    ring.append(ring)
    assert of(ring) == of(ring)


@dataclasses.dataclass
class Holder:
    file: object


def test_what_cannot_be_sent_is_named():
    with open(os.devnull, encoding="utf-8") as file:

        def train(device, seed):
            return file

        with pytest.raises(InputError, match=r"file of train is a TextIOWrapper, which cannot be sent.*make it inside"):
            code_digest(train, "train")
        with pytest.raises(InputError, match=r"value.*\['file'\] is a TextIOWrapper"):
            code_digest(Holder(file), "value")


class OnlyHere:
    def __reduce_ex__(self, protocol):
        if sys._getframe(1).f_code.co_name == "reduced":
            return (OnlyHere, ())
        raise TypeError("stays here")


def test_what_has_a_digest_but_cannot_be_sent_is_named_too():
    here = OnlyHere()
    with pytest.raises(InputError, match=r"<lambda> cannot be sent to worker processes \(.*stays here\): make what it"):
        SentTraining.of(as_training(lambda device, seed: here, None, None, None))
