"""A user's file: its function or task, and what is said where it has neither; and that its code, not an older one, runs in workers."""

import sys
import textwrap

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.files import sha256
from thermograd.circuits.technology.presets import PRESETS
from thermograd.optim.codesign.studies import study
from thermograd.optim.codesign.training_file import read_training
from thermograd.optim.tasks.digits import digits

from ...systems import true_card


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file; what reading it adds to the path and the modules is taken back."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def written(text, name="my.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    yield written
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in sys.modules[name].__file__:
            del sys.modules[name]


def test_a_function_or_a_task_of_the_file(write, tmp_path):
    assert read_training(write("def train(device, seed):\n    return 0.5\n"))(None, 0) == 0.5
    task = read_training(write("import thermograd as tg\ndef task():\n    return tg.make_task('digits')\n", "other.py"))
    assert task.name == digits().name
    # as a module that is there already is called; its name holds no random hash
    named = [read_training(write("def train(device, seed):\n    return 1\n", "json.py")).__module__ for _ in range(2)]
    assert named[0] == named[1] == f"file_{sha256(str(tmp_path / 'json.py').encode())[:12]}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither train nor task, but no function: define train"),
        ("def trian(device, seed):\n    return 1\n", "neither train nor task, but the functions trian: define train"),
        ("def train(d, s):\n    return 1\ndef task():\n    return 1\n", "both train and task"),
        ("train = 3\n", "train in my.py is 3"),
        ("def task():\n    return 3\n", r"task\(\) in my.py returned 3: return a Task"),
        ("def task():\n    return 1 / 0\n", r"task\(\) in my.py raised ZeroDivisionError.*\(line 2\)"),
        ("import math\nmath.inf.x\n", r"my.py cannot be run: AttributeError: .*\(line 2\)"),
        ("def train(:\n", "my.py cannot be run: SyntaxError"),
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("raise SystemExit(3)\n", r"ended by exit\(3\).*__main__"),
    ],
)
def test_what_is_missing_is_named_with_what_was_found(write, text, words):
    with pytest.raises(InputError, match=words):
        read_training(write(text))


def test_a_file_that_is_not_there_or_no_python(write, tmp_path):
    with pytest.raises(InputError, match=r"does not exist; define train\(device, seed\)"):
        read_training(tmp_path / "absent.py")
    with pytest.raises(InputError, match=r"suffix '.txt'"):
        read_training(write("", "my.txt"))


@pytest.mark.slow
def test_workers_run_the_code_as_it_is_now(write, tmp_path):
    """Processes that are kept from one study to the next have imported the file's helpers before they change."""
    settings = {
        "levels": (4,),
        "dies": (1,),
        "card": true_card(PRESETS["integrated"]),
        "workers": 2,
        "out": tmp_path / "out",
    }
    found = []
    for value in (1, 2):
        write(f"def above():\n    return {value}\n", "beside_above.py")
        write(f"def inside():\n    return {10 * value}\n", "beside_inside.py")
        for name in ("my", "beside_above", "beside_inside"):
            sys.modules.pop(name, None)
        for cached in tmp_path.glob("__pycache__/*"):  # files that change within a second
            cached.unlink()
        text = "import beside_above as a\ndef train(device, seed):\n    import beside_inside as b\n    return a.above() + b.inside()\n"
        found.append(study(read_training(write(text)), "adc", **settings).runs[0].scores["score"])
    assert found == [11.0, 22.0]
