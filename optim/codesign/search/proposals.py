"""Proposals of designs by optuna, in a database that several processes and machines may work on.

Designs are proposed in generations, and every proposal has a seed of its own: a search by one process is the same on any number of
workers, and one that was killed goes on as if it had not been. With several processes on one database it depends on who comes first.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import platform
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ....circuits.errors import InputError
from ..knobs.knob import Value
from .space import READING, SearchedKnob, Space

STRATEGIES = ("tpe", "random")
_INDEX, _OWNER, _ABANDONED, _RECORD = "index", "owner", "abandoned", "record"
_PLACES = 64
"""Most processes of one folder."""


def optuna() -> Any:
    """The module. InputError where it is missing."""
    try:
        import optuna as found
    except ImportError as error:
        raise InputError(f"a search needs optuna ({error}): pip install 'thermograd[study]'") from None
    found.logging.set_verbosity(found.logging.WARNING)
    return found


@dataclass(frozen=True)
class Proposal:
    """A design that is to be evaluated.

    Attributes:
        trial: of optuna. index: its place in the search. values: of the knobs by name, and of `READING`.
    """

    trial: Any
    index: int
    values: dict[str, Value]


class Proposals:
    """The database of a search, and what it proposes.

    Args:
        space: that is searched. costs: how many. name: of the search in the database.
        folder: of this search's files, whose `search.db` is the database unless `storage` is a URL such as
            postgresql+psycopg://user@host/name. seed: of the proposals. generation: designs at a time.
        strategy: "tpe", Pareto-optimal tree-structured Parzen estimators under constraints, or "random".
    """

    def __init__(
        self, space: Space, costs: int, name: str, folder: Path, storage: str | None, seed: int, generation: int,
        strategy: str = "tpe",
    ) -> None:  # fmt: skip
        if strategy not in STRATEGIES:
            raise InputError(f"strategy is {strategy!r}: give one of {', '.join(STRATEGIES)}")
        self.space, self.seed, self.generation, self.strategy = space, seed, generation, strategy
        self._optuna, self._folder, self._shared = optuna(), folder, storage is not None
        self._locks: list[Any] = []
        self._owner = self._claim()
        url = storage or f"sqlite:///{(folder / 'search.db').resolve()}"
        try:
            database = self._optuna.storages.RDBStorage(url, engine_kwargs=_engine(url))
            self._study = self._optuna.create_study(
                storage=database, study_name=name, directions=["minimize"] * costs, load_if_exists=True
            )
        except Exception as error:  # of whatever kind optuna, SQLAlchemy or the driver raises
            self.close()
            text = str(error).splitlines()[0] if str(error) else ""
            raise InputError(
                f"storage {_hidden(url)}: {type(error).__name__}: {text}; give a URL of SQLAlchemy whose database exists and whose driver "
                "is installed, such as postgresql+psycopg://user@host/name (pip install 'psycopg[binary]'), or leave it out for a file"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up this process's place in the folder."""
        for lock in self._locks:
            lock.close()
        self._locks.clear()

    def next(self, trials: int) -> list[Proposal]:
        """Designs to evaluate: those that a killed process had begun, and new ones up to a whole generation; none: all are there."""
        begun = self._taken_over()
        known = [one for one in self._study.get_trials(deepcopy=False) if _ABANDONED not in one.user_attrs]
        missing = -len(known) % self.generation
        wanted = min(missing or (0 if begun else self.generation), max(0, trials - len(known)))
        begun += [self._ask() for _ in range(wanted)]
        return sorted(begun, key=lambda one: one.index)

    def tell(
        self, proposal: Proposal, costs: Sequence[float] | None, violation: float, record: Mapping[str, Any]
    ) -> None:
        """What came of it. Without costs it has failed."""
        trial, state = proposal.trial, self._optuna.trial.TrialState
        trial.set_user_attr(_RECORD, dict(record))
        if costs is None:
            self._study.tell(trial, state=state.FAIL)
            return
        trial.set_constraint("target", min(violation, 1e6))
        self._study.tell(trial, [math.log10(one) for one in costs])

    def records(self, before: int | None = None) -> list[dict[str, Any]]:
        """What was told of all designs, in the order of their index; `before` leaves out those of that index and later."""
        found = [one.user_attrs for one in self._study.get_trials(deepcopy=False) if _RECORD in one.user_attrs]
        kept = [one for one in found if before is None or one[_INDEX] < before]
        return [one[_RECORD] for one in sorted(kept, key=lambda one: int(one[_INDEX]))]

    def _ask(self) -> Proposal:
        self._study.sampler = _sampler(self._optuna, self._seeded)
        trial = self._study.ask({one: self._distribution(one) for one in self._names()})
        index = self._index(trial.number)
        trial.set_user_attr(_INDEX, index)
        trial.set_user_attr(_OWNER, self._owner)
        return Proposal(trial, index, self._values(trial.params))

    def _index(self, number: int) -> int:
        """Place of a trial, as if those that were abandoned had not been."""
        known = self._study.get_trials(deepcopy=False)
        return number - sum(one.number < number for one in known if _ABANDONED in one.user_attrs)

    def _seeded(self, number: int, knob: str = "") -> Any:
        """The sampler of one trial; of a knob that is drawn alone, one of that knob, so that draws do not depend on each other."""
        seed = zlib.crc32(f"{self.seed} {self._index(number)} {knob}".encode())
        samplers = self._optuna.samplers
        if self.strategy == "random":
            return samplers.RandomSampler(seed=seed)
        startup = 2 * self.generation
        return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=startup)

    def _names(self) -> list[str]:
        return [*(one.name for one in self.space.ranges), *([READING] if len(self.space.readings) > 1 else [])]

    def _distribution(self, name: str) -> Any:
        kinds = self._optuna.distributions
        if name == READING:
            return kinds.CategoricalDistribution(self.space.readings)
        one = self._range(name)
        if one.choices:
            return kinds.CategoricalDistribution(one.choices)
        if one.whole:
            return kinds.IntDistribution(int(one.low), int(one.high))
        return kinds.FloatDistribution(one.low, one.high, log=one.log)

    def _range(self, name: str) -> SearchedKnob:
        return next(one for one in self.space.ranges if one.name == name)

    def _values(self, params: Mapping[str, Any]) -> dict[str, Value]:
        return {
            name: params[name] if name == READING else self._range(name).knob.check(params[name]) for name in params
        }

    def _taken_over(self) -> list[Proposal]:
        """Designs that a process which is no more had begun in this place."""
        state, found = self._optuna.trial.TrialState, []
        for frozen in self._study.get_trials(deepcopy=False, states=(state.RUNNING,)):
            owner = frozen.user_attrs.get(_OWNER)
            if owner == self._owner and set(self._names()) <= set(frozen.params):
                trial = self._optuna.trial.Trial(self._study, frozen._trial_id)
                found.append(Proposal(trial, int(frozen.user_attrs[_INDEX]), self._values(frozen.params)))
            elif owner is None and not self._shared and self._is_alone():
                # Killed while it was being asked for: it is asked for again.
                trial = self._optuna.trial.Trial(self._study, frozen._trial_id)
                trial.set_user_attr(_ABANDONED, True)
                self._study.tell(trial, state=state.FAIL)
        return found

    def _claim(self) -> str:
        """This process's place in the folder: the first one that no living process holds."""
        for place in range(_PLACES):
            path = self._folder / f".process-{place}.lock"
            lock = path.open("a")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            self._locks.append(lock)
            self._place = place
            return f"{platform.node()}:{self._folder.resolve()}:{place}"
        raise InputError(f"folder {str(self._folder)!r}: {_PLACES} processes work in it already: give another --out")

    def _is_alone(self) -> bool:
        return all(_is_free(path) for path in self._others())

    def _others(self) -> Iterator[Path]:
        own = f".process-{self._place}.lock"
        return (path for path in self._folder.glob(".process-*.lock") if path.name != own)


def _sampler(optuna: Any, seeded: Callable[..., Any]) -> Any:
    """A sampler that proposes each trial by one of its own, which `seeded` makes of the trial's number.

    The number is drawn by the database, so that no two processes have the same; it is known only once the trial is there.
    """

    class Seeded(optuna.samplers.BaseSampler):
        """See above."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            """As the trial's own sampler."""
            return seeded(trial.number).infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            """As the trial's own sampler."""
            return seeded(trial.number).sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            """As the trial's own sampler."""
            own = seeded(trial.number, param_name)
            return own.sample_independent(study, trial, param_name, param_distribution)

    return Seeded()


def _is_free(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _engine(url: str) -> dict[str, Any]:
    # Several processes write to one file: each waits for the others.
    return {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}


def _hidden(url: str) -> str:
    """A URL without its password."""
    scheme, found, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{found}{user.partition(':')[0]}{at}{place}" if at else url
