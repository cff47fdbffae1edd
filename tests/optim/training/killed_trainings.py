"""Trainings that kill themselves with SIGKILL, at steps drawn by a seed and in the middle of a save, until they are through.

    python killed_trainings.py FOLDER

One process imports everything and forks each attempt. It prints JSON: for each case the result without a kill, that of the killed ones,
where attempts began, and where they were killed.
"""

import importlib
import json
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from thermograd.optim.tasks.classification import Classification
from thermograd.optim.training.experiment import Experiment, run_experiment

for late in ("joblib.externals.loky", "sympy", "torch._dynamo"):  # here once, and not in each attempt
    importlib.import_module(late)
training = importlib.import_module("thermograd.optim.training.train")
importlib.import_module("thermograd.optim.training.experiment").STALE = 0.0
STEPS, EVERY, SEED = 10, 3, 7
DIE = {"kind": "surrogate", "card": "integrated", "extrapolate": True}
FORGETFUL = "forgetful"
"""The control: a resumed run that does not restore torch's random state, of which dropout draws."""
CASES = {
    "adam, dropout, cosine": {"optimizer": "adam", "schedule": "cosine"},
    "ngd, Levenberg-Marquardt, momentum, drawn labels": {
        "optimizer": "ngd",
        "settings": {"damping": {"start": 0.2}, "momentum": 0.5, "curvature": "mc-fisher"},
    },
    "tngd, noisy die, refined, momentum": {
        "optimizer": "tngd",
        "settings": {"reading": "refined", "momentum": 0.9},
        "device": DIE,
        "dies": [3],
    },
    FORGETFUL: {"optimizer": "adam"},
    "tngd, programs kept": {
        "optimizer": "tngd",
        "settings": {"system": "primal", "program_every": 4, "reading": "refined"},
        "device": DIE,
        "dies": [3],
    },
}


def task(normalised):
    random = np.random.default_rng(0)
    data = torch.from_numpy(random.standard_normal((60, 6)).astype(np.float32))
    labels = torch.from_numpy(random.integers(0, 3, 60))

    def model():
        layers = [nn.Linear(6, 5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 3)]
        return nn.Sequential(*layers[:3], *([nn.BatchNorm1d(5)] if normalised else []), layers[3])

    return Classification("tiny", data[:40], labels[:40], data[40:], labels[40:], model)


def trained(case, folder):
    """Losses, scores and final weights of a case."""
    run = Experiment.of_table({"task": "tiny", "steps": STEPS, "batch": 4, "evaluate_every": 4, "checkpoint_every": EVERY}
                              | {"run": [{"label": "run", **CASES[case]}]}, Path())  # fmt: skip
    (only,) = run_experiment(run, folder, 1, task=task("dropout" in case)).runs
    (saved,) = (folder / "checkpoints").glob("*.pt")
    weights = torch.load(saved, weights_only=True)["model"]
    history = only.history
    kept = {"loss": history.loss, "evaluations": history.evaluations, "outcome": history.outcome}
    return kept | {"hardware": history.hardware_seconds, "weights": [value.tolist() for value in weights.values()]}


def forked(case, folder, result, first=lambda: None):
    """Train in a child, since threads of torch would not live on in later forks; its process number."""
    pid = os.fork()
    if pid == 0:
        try:
            first()
            result.write_text(json.dumps(trained(case, folder)))
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the child must not go on as its parent
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def killed(case, folder, seed):
    """The same, by attempts that are killed, all but the last; the steps from which they went on, and at which they died."""
    random, began, died = np.random.default_rng(seed), [], []
    log = folder / "log.json"
    for attempt in range(40):
        in_save = attempt == 1
        due = int(random.integers(4, 8))
        pid = forked(case, folder, folder / "result.json", lambda due=due, save=in_save: doomed(case, log, due, save))
        status = os.waitpid(pid, 0)[1]
        seen = [int(step) for step in log.read_text().split()] if log.exists() else []
        if seen:
            began.append(seen[0])
        log.unlink(missing_ok=True)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, f"{case}: an attempt failed"
            return json.loads((folder / "result.json").read_text()), began, died
        assert os.WTERMSIG(status) == signal.SIGKILL
        died.append(seen[-1])
    raise AssertionError(f"{case}: not through after 40 attempts")


def doomed(case, log, due, in_save):
    """Let this process kill itself after some steps, or with half of a checkpoint written; the log has the steps that it made."""
    step, save, made = training._step, torch.save, []

    def counted(closure, optimizer, history):
        with log.open("a") as file:
            file.write(f"{history.steps} ")
        made.append(history.steps)
        step(closure, optimizer, history)
        if not in_save and len(made) == due:
            os.kill(os.getpid(), signal.SIGKILL)

    def half(state, path):
        save(state, path)
        if in_save:
            Path(path).write_bytes(Path(path).read_bytes()[:1000])
            os.kill(os.getpid(), signal.SIGKILL)

    training._step, torch.save = counted, half
    if case == FORGETFUL:
        torch.set_rng_state = lambda state: None


def main(folder):
    warnings.simplefilter("ignore")
    found = {}
    for number, case in enumerate(CASES):
        whole, torn = folder / f"whole{number}", folder / f"torn{number}"
        torn.mkdir()
        os.waitpid(forked(case, whole, folder / f"{number}.json"), 0)
        result, began, died = killed(case, torn, (SEED, number))
        left = [path.name for path in (torn / "checkpoints").iterdir() if path.name.startswith(".")]
        found[case] = {"whole": json.loads((folder / f"{number}.json").read_text()), "torn": result}
        found[case] |= {"began": began, "died": died, "left": left}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
