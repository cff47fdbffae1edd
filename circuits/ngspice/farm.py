"""Many named simulations whose results stream to disk, so that a run that was killed goes on where it was.

A job's result is kept under a digest of everything that it depends on: the netlist's text, the analysis and the seed. A second run over
the same folder reads what is there and simulates the rest; a job that failed is tried again. The simulating itself is `ngspice.run_many`,
on this machine or on a dask.distributed scheduler's workers with the same bits; who needs no names and no files calls that.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ..errors import InputError, ThermogradError
from ..job_store import Codec, JobStore, job_key
from ..netlist.analyses import Analysis, Result
from ..netlist.netlist import Netlist
from ..parallel import worker_count
from .run_many import Outcomes, run_many

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_RESULTS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Result)}
FORMAT = 2


@dataclass(frozen=True, eq=False)
class Job:
    """One simulation.

    Args:
        name: unique among the jobs of a run; letters, digits and ``_.+-``.
        netlist: the circuit.
        analysis: as `ngspice.run` takes it.
        seed: of the thermal noise of a transient with noise.

    Raises:
        InputError: an unusable name, or a seed that is not a non-negative integer.
    """

    name: str
    netlist: Netlist
    analysis: Analysis
    seed: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError(
                f"job name {self.name!r}: 1 to 100 letters, digits or '_.+-' are needed, since it names a file"
            )
        if self.seed is not None and (not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0):
            raise InputError(f"job {self.name}: seed is {self.seed!r}; give an integer >= 0, or None")
        if type(self.analysis) not in get_args(Analysis):
            kinds = ", ".join(kind.__name__ for kind in get_args(Analysis))
            raise InputError(f"job {self.name}: analysis is {self.analysis!r}; give one of {kinds}")

    def order(self) -> dict[str, Any]:
        """Everything that the result depends on, as plain data."""
        return {
            "netlist": self.netlist.to_spice(),
            "analysis": type(self.analysis).__name__,
            "fields": dataclasses.asdict(self.analysis),
            "seed": self.seed,
        }

    def digest(self) -> str:
        """Of `order`."""
        return job_key(FORMAT, self.order())


def run_farm(
    jobs: Iterable[Job],
    folder: str | Path,
    workers: int | None = None,
    scheduler: str | None = None,
    timeout: float | None = 120.0,
    progress: Callable[[int, int], None] | None = None,
) -> Generator[tuple[str, Result | ThermogradError], None, None]:
    """Simulate jobs and keep each result as it comes.

    Args:
        jobs: with unique names.
        folder: for the results, made if need be; those that are there already are not simulated again.
        workers: processes of this machine; None: one per usable core. Not with a scheduler.
        scheduler: address of a dask.distributed scheduler, as for `ngspice.run_many`.
        timeout: limit in s for each job.
        progress: called with (jobs done, jobs in all).

    Yields:
        (name, result): first what the folder holds, then the others in order of completion. A job that fails yields its exception; the
        others go on, and a later run tries it again.

    Raises:
        InputError: names that are not unique, a folder that cannot be used, and as `ngspice.run_many`.
        SimulationError: with the first result that the folder does not hold: no scheduler answers at the address.
    """
    listed = list(jobs)
    names = [job.name for job in listed]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"job name {twice!r} is used twice; give each job a name of its own")
    worker_count(workers, scheduler)
    store: JobStore[Result | ThermogradError] = JobStore(folder, NPZ)
    keyed = {f"{job.name}.{job.digest()}": job for job in listed}

    def compute(missing: Sequence[Job]) -> Outcomes:
        return run_many(((job.netlist, job.analysis, job.seed) for job in missing), workers, scheduler, timeout)

    results = store.resume(keyed, compute, progress)
    return _named(results, keyed)


def _named(
    results: Generator[tuple[str, Result | ThermogradError], None, None], keyed: dict[str, Job]
) -> Generator[tuple[str, Result | ThermogradError], None, None]:
    with closing(results):
        for key, result in results:
            yield keyed[key].name, result


def _packed(result: Result) -> bytes:
    """The result as the bytes of an .npz file: an array for each field that is one or maps names to numbers, a header for the rest."""
    header: dict[str, Any] = {"format": FORMAT, "kind": type(result).__name__, "plain": {}, "names": {}}
    arrays: dict[str, Any] = {}
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, dict):
            header["names"][field.name] = list(value)
            arrays[field.name] = np.array(list(value.values()))
        elif isinstance(value, np.ndarray):
            arrays[field.name] = value
        else:
            header["plain"][field.name] = value
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array(json.dumps(header)), **arrays)
    return buffer.getvalue()


def _unpacked(blob: bytes) -> Result | None:
    """None for bytes that are no result of this version."""
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            if header["format"] != FORMAT:
                return None
            fields = header["plain"] | {name: file[name] for name in file.files if name != "header"}
            for name, keys in header["names"].items():
                rows = (row if row.ndim else row.item() for row in fields[name])
                fields[name] = dict(zip(keys, rows, strict=True))
            result: Result = _RESULTS[header["kind"]](**fields)
            return result
    except (ValueError, KeyError, OSError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile):
        return None


NPZ: Codec[Any] = Codec(".npz", _packed, _unpacked)
"""Results as .npz files."""
