"""Settings of an optimizer on a task, by successive halving of random trials, scored on held-out training data.

The first trial has the plan's own settings; the others are points of a scrambled Sobol sequence, of ranges in their logarithm. All are
trained with the first seed, the better half with the next one, and so on, so that the last few are compared over all seeds. What is held
out, `Task.held_out` says: of samples the last quarter of the training set, which is then not trained on; the test set is not looked at.
Seeds are such as no table uses. Every finished run is kept in a folder: an interrupted search resumes.

    python benchmarks/optim/tune.py --task digits --optimizer adam
    python benchmarks/optim/tune.py --task mnist --data mnist.npz --set train=12500 --optimizer tngd --trials 16 --steps 468
    python benchmarks/optim/tune.py --task autoencoder --optimizer ngd --space damping.start=0.1:10,damping.factor=0.7:0.95
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import qmc

from thermograd.circuits.errors import InputError
from thermograd.circuits.files import output_folder
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.cli.options import seeds
from thermograd.cli.outputs import complain
from thermograd.optim.optimizers.damping import LevenbergMarquardt
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.tasks.task import Score, Task
from thermograd.optim.training.threads import one_thread
from thermograd.optim.training.train import settings_for, train


class Range(NamedTuple):
    """Numbers between two, equally likely in their logarithm."""

    low: float
    high: float

    def at(self, share: float) -> float:
        """The number at a share in [0, 1), to three digits."""
        return float(f"{self.low * (self.high / self.low) ** share:.3g}")


class Choice(NamedTuple):
    """One of several values."""

    values: tuple[Any, ...]

    def at(self, share: float) -> Any:
        """The value at a share in [0, 1)."""
        return self.values[int(share * len(self.values))]


Space = dict[str, Range | Choice]
SCHEDULES = Choice(("constant", "cosine"))
NATURAL_GRADIENT: Space = {"lr": Range(0.01, 1.0), "damping": Range(0.01, 10.0), "momentum": Choice((0.0, 0.9))}
SPACES: dict[str, Space] = {
    "sgd": {"lr": Range(1e-3, 1.0), "momentum": Choice((0.0, 0.9)), "schedule": SCHEDULES},
    "adam": {"lr": Range(3e-4, 0.1), "schedule": SCHEDULES},
    "tngd-adam": {"lr": Range(3e-4, 0.1), "damping": Range(0.01, 10.0), "schedule": SCHEDULES},
    "tngd-kfac": {"lr": Range(0.01, 1.0), "damping": Range(0.01, 10.0)},
}
"""What is varied of an optimizer where nothing else is said; of those without an entry `NATURAL_GRADIENT`."""


class Search(NamedTuple):
    """What all trials have in common."""

    task: str
    task_settings: dict[str, Any]
    optimizer: str
    steps: int
    batch: int | None


class Trial(NamedTuple):
    """One training."""

    settings: dict[str, Any]
    seed: int


def made(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the optimizer takes them: those named damping.NAME are arguments of `LevenbergMarquardt`."""
    dotted = {name.split(".", 1)[1]: value for name, value in settings.items() if name.startswith("damping.")}
    found = {name: value for name, value in settings.items() if "." not in name}
    return found | ({"damping": LevenbergMarquardt(**dotted)} if dotted else {})


@functools.lru_cache(maxsize=1)
def held_out(name: str, settings: tuple[tuple[str, Any], ...]) -> Task:
    """The task of a search; one for all trials of a process, since data take time to read."""
    return make_task(name, dict(settings)).held_out()


def score(search: Search, trial: Trial) -> dict[str, Any]:
    """Score on the held-out data, loss of the last tenth, and processor seconds, the device's simulation included; a trial that cannot be
    trained has a score of NaN, and the reason."""
    task = held_out(search.task, tuple(search.task_settings.items()))
    try:
        with one_thread():
            history = train(
                task,
                search.optimizer,
                search.steps,
                search.batch,
                trial.seed,
                evaluate_every=0,
                settings=made(trial.settings),
            )
    except InputError as error:
        return {"score": math.nan, "loss": math.nan, "seconds": math.nan, "problem": str(error)}
    last = history.loss[-max(1, search.steps // 10) :]
    seconds = sum(history.processor_seconds) + sum(history.device_seconds)
    return {"score": history.final_score, "loss": float(np.mean(last)), "seconds": seconds, "problem": ""}


def trials(space: Space, fixed: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Settings of the trials: the plan's own ones (with what is fixed), then points of the space."""
    points = qmc.Sobol(max(1, len(space)), seed=0).random(2 ** math.ceil(math.log2(max(2, count))))
    drawn = [{name: axis.at(x) for (name, axis), x in zip(space.items(), point, strict=False)} for point in points]
    return [dict(fixed), *({**fixed, **one} for one in drawn)][:count]


def rank(measure: Score, runs: Sequence[Mapping[str, Any]]) -> float:
    """What trials are sorted by, least first: the mean score with its sign, of errors the mean logarithm; infinite if one is not finite."""
    values = np.array([run["score"] for run in runs], dtype=float)
    if not np.isfinite(values).all():
        return math.inf
    if measure.more_is_better:
        return -float(values.mean())
    return float(np.log(np.maximum(values, sys.float_info.min)).mean())


def halving(
    search: Search, settings: list[dict[str, Any]], chosen: Sequence[int], folder: Path, workers: int | None
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """(settings, runs by seed) of all trials, the best first: those with more seeds before those with fewer."""
    store: JobStore[dict[str, Any]] = JobStore(folder)
    task = held_out(search.task, tuple(search.task_settings.items()))
    kept = {name: repr(value) for name, value in sorted(settings_for(task, search.optimizer).items())}
    found: list[list[dict[str, Any]]] = [[] for _ in settings]
    alive = list(range(len(settings)))
    for seed in chosen:
        jobs = {
            job_key(task.name, search.optimizer, search.steps, search.batch, kept, settings[i], seed): Trial(
                settings[i], seed
            )
            for i in alive
        }
        results = dict(store.map(functools.partial(score, search), jobs, workers, progress=_counted))
        for i, key in zip(alive, jobs, strict=True):
            found[i].append(results[key])
        alive.sort(key=lambda i: rank(task.score, found[i]))
        alive = alive[: max(2, math.ceil(len(alive) / 2))]
    print(file=sys.stderr)
    order = sorted(range(len(settings)), key=lambda i: (-len(found[i]), rank(task.score, found[i])))
    return [(settings[i], found[i]) for i in order]


def _counted(done: int, total: int) -> None:
    print(f"\r{done} of {total} runs", end="", file=sys.stderr, flush=True)


def table(measure: Score, ranked: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]) -> str:
    """Markdown, the best first."""
    lines = [f"| settings | seeds | {measure.name}, held out | loss | processor, s |", "|---" * 5 + "|"]
    for settings, runs in ranked:
        values = [run["score"] for run in runs]
        text = ", ".join(f"{name} {value}" for name, value in settings.items()) or "the plan's"
        factor = 100 if measure.percent else 1
        error = f" ± {factor * np.std(values, ddof=1) / len(values) ** 0.5:.2g}" if len(values) > 1 else ""
        problem = next((f" ({run['problem'][:60]})" for run in runs if run["problem"]), "")
        loss, seconds = (float(np.mean([run[name] for run in runs])) for name in ("loss", "seconds"))
        shown = f"{measure.text(float(np.mean(values)), 3)}{error}{problem}"
        lines.append(f"| {text} | {len(runs)} | {shown} | {loss:.4g} | {seconds:.2g} |")
    return "\n".join(lines)


def parsed(option: str, text: str | None) -> dict[str, Any]:
    """NAME=VALUE, by commas, as TOML has values; bare words are strings."""
    found: dict[str, Any] = {}
    for part in filter(None, (text or "").split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"{option} has {part!r}: give NAME=VALUE, by commas")
        try:
            found[name.strip()] = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError:
            found[name.strip()] = value
    return found


def space_of(text: str) -> Space:
    """NAME=LOW:HIGH or NAME=A|B|C, by commas."""
    found: Space = {}
    for name, value in ((one, str(value)) for one, value in parsed("--space", text).items()):
        if ":" in value:
            try:
                low, high = (float(bound) for bound in value.split(":"))
            except ValueError:
                raise InputError(f"--space has {name}={value}: give NAME=LOW:HIGH, two numbers") from None
            if not 0 < low < high:
                raise InputError(f"--space has {name}={value}: give 0 < LOW < HIGH, a range of logarithms")
            found[name] = Range(low, high)
        else:
            found[name] = Choice(tuple(parsed("--space", f"x={one}")["x"] for one in value.split("|")))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", required=True, help="name of a task")
    parser.add_argument("--optimizer", required=True, help="name of an optimizer")
    parser.add_argument("--data", type=Path, help="of a task that is read from files")
    parser.add_argument("--set", help="settings of the task, NAME=VALUE by commas")
    parser.add_argument("--space", help="what is varied: NAME=LOW:HIGH or NAME=A|B, by commas; default: by optimizer")
    parser.add_argument("--fixed", help="settings of all trials besides the plan's, NAME=VALUE by commas")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--steps", type=int, help="default: the plan's")
    parser.add_argument("--batch", type=int, help="default: the plan's")
    parser.add_argument("--seeds", default="10,11,12", help="of the rungs, by commas")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--out", type=Path, default=Path("out/tune"), help="folder that keeps the runs")
    asked = parser.parse_args()
    try:
        given = parsed("--set", asked.set) | ({} if asked.data is None else {"path": str(asked.data)})
        task = make_task(asked.task, given).held_out()
        space = SPACES.get(asked.optimizer, NATURAL_GRADIENT) if asked.space is None else space_of(asked.space)
        fixed = parsed("--fixed", asked.fixed)
        if asked.trials < 1:
            raise InputError(f"--trials is {asked.trials}: give at least 1")
        search = Search(asked.task, given, asked.optimizer, asked.steps or task.plan.steps, asked.batch)
        settings = trials(space, fixed, asked.trials)
        ranked = halving(search, settings, seeds("--seeds", asked.seeds), output_folder(asked.out), asked.workers)
    except InputError as error:
        complain(str(error))
        raise SystemExit(2) from None
    print(f"{task.name}, {asked.optimizer}, {search.steps} steps of {asked.batch or task.plan.batch}\n")
    print(table(task.score, ranked))
    print(
        "\nbest: " + (", ".join(f"{name} = {value}" for name, value in ranked[0][0].items()) or "the plan's settings")
    )
    for name, axis in space.items():
        value = ranked[0][0].get(name)
        if isinstance(axis, Range) and value is not None and not axis.at(0.1) < value < axis.at(0.9):
            print(f"{name} is at the edge of its range: extend it")


if __name__ == "__main__":
    main()
