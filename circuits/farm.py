"""Many named simulations whose results stream to disk, so that a run that was killed goes on where it was.

A job's result is kept under a digest of everything that it depends on: the netlist's text, the analysis and the seed. A second run over
the same folder reads what is there and simulates the rest; a job that failed is tried again. Work goes to processes of this machine, or
to a dask.distributed scheduler by its address; either way a job is simulated from its text, so that both give the same bits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .analyses import (
    Analysis,
    Noise,
    NoiseResult,
    OperatingPoint,
    OperatingPointResult,
    Result,
    Transient,
    TransientResult,
)
from .errors import InputError, SimulationError, ThermogradError
from .netlist import Netlist
from .ngspice import run, run_many
from .spice_text import parse_netlist

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_ANALYSES: dict[str, type[Any]] = {kind.__name__: kind for kind in (OperatingPoint, Transient, Noise)}
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Job:
    """One simulation.

    Args:
        name: unique among the jobs of a run; letters, digits and ``_.+-``.
        netlist: the circuit.
        analysis: OperatingPoint, Transient or Noise.
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
        if type(self.analysis).__name__ not in _ANALYSES:
            raise InputError(f"job {self.name}: analysis is {self.analysis!r}; give OperatingPoint, Transient or Noise")

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
        text = json.dumps([FORMAT, self.order()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def run_farm(
    jobs: Iterable[Job],
    folder: str | Path,
    workers: int | None = None,
    scheduler: str | None = None,
    timeout: float | None = 120.0,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[str, Result | ThermogradError]]:
    """Simulate jobs and keep each result as it comes.

    Args:
        jobs: with unique names.
        folder: for the results, made if need be; those that are there already are not simulated again.
        workers: processes of this machine; None: one per usable core. Not with a scheduler.
        scheduler: address of a dask.distributed scheduler, such as ``tcp://host:8786``, whose workers have thermograd installed
            (``pip install 'thermograd[study]'``).
        timeout: limit in s for each job.
        progress: called with (jobs done, jobs in all).

    Yields:
        (name, result): first what the folder holds, then the others in order of completion. A job that fails yields its exception; the
        others go on, and a later run tries it again.

    Raises:
        InputError: names that are not unique, a folder that cannot be used, workers together with a scheduler, dask missing.
    """
    listed = list(jobs)
    names = [job.name for job in listed]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"job name {twice!r} is used twice; give each job a name of its own")
    if scheduler is not None and workers is not None:
        raise InputError(
            f"workers = {workers!r} is for this machine; a scheduler has workers of its own, so leave one of them out"
        )
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder {str(place)!r} cannot be made: {error.strerror}; give another one") from None
    send = _scheduled(scheduler, timeout) if scheduler is not None else _local(workers, timeout)
    return _run(listed, place, send, progress)


Send = Callable[[list[dict[str, Any]]], Iterator[tuple[int, Result | ThermogradError]]]


def _run(
    jobs: list[Job], folder: Path, send: Send, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[str, Result | ThermogradError]]:
    done, missing = 0, []

    def count() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(jobs))

    for job in jobs:
        found = _read(_file(folder, job))
        if found is None:
            missing.append(job)
            continue
        count()
        yield job.name, found
    for index, result in send([job.order() for job in missing]):
        job = missing[index]
        if not isinstance(result, ThermogradError):
            _write(_file(folder, job), result)
        count()
        yield job.name, result


def _file(folder: Path, job: Job) -> Path:
    return folder / f"{job.name}.{job.digest()}.npz"


def _parsed(order: dict[str, Any]) -> tuple[Netlist, Analysis, int | None]:
    """The job of an order. Fields that JSON or a scheduler made lists are tuples again."""
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in order["fields"].items()}
    return parse_netlist(order["netlist"]), _ANALYSES[order["analysis"]](**fields), order["seed"]


def _local(workers: int | None, timeout: float | None) -> Send:
    def send(orders: list[dict[str, Any]]) -> Iterator[tuple[int, Result | ThermogradError]]:
        return run_many((_parsed(order) for order in orders), workers, timeout)

    return send


def _scheduled(address: str, timeout: float | None) -> Send:
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise InputError(f"a scheduler needs dask.distributed ({error}): pip install 'thermograd[study]'") from None

    def send(orders: list[dict[str, Any]]) -> Iterator[tuple[int, Result | ThermogradError]]:
        try:
            client = Client(address, timeout="20s", set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise SimulationError(f"no dask scheduler answers at {address!r}: {error}; check the address") from None
        with client:
            futures = {client.submit(remote, order, timeout, pure=False): k for k, order in enumerate(orders)}
            for future in as_completed(list(futures), loop=client.loop):
                yield futures[future], _arrived(future)

    return send


def _arrived(future: Any) -> Result | ThermogradError:
    """A remote result; a lost worker costs its job only."""
    try:
        blob = future.result()
    except ThermogradError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever ended the remote job is told by name, and the other jobs go on
        return SimulationError(f"the job was lost on its dask worker: {type(error).__name__}: {error}")
    result = _unpacked(blob)
    return (
        result
        if result is not None
        else SimulationError("the dask worker sent back no result: is its thermograd of this version?")
    )


def remote(order: dict[str, Any], timeout: float | None) -> bytes:
    """Run one order on a dask worker; the result as the bytes of an .npz file."""
    netlist, analysis, seed = _parsed(order)
    return _packed(run(netlist, analysis, seed=seed, timeout=timeout))


def _packed(result: Result) -> bytes:
    header: dict[str, Any] = {"format": FORMAT, "version": result.ngspice_version, "log": result.log}
    arrays: dict[str, np.ndarray] = {}
    if isinstance(result, NoiseResult):
        header |= {"kind": "noise", "total": result.total}
        arrays = {"frequency": result.frequency, "density": result.density}
    else:
        transient = isinstance(result, TransientResult)
        header |= {"kind": "transient" if transient else "operating point", "nodes": list(result.voltages)}
        arrays = {"voltages": np.array(list(result.voltages.values()), dtype=float)}
        if isinstance(result, TransientResult):
            arrays["time"] = result.time
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _unpacked(blob: bytes) -> Result | None:
    """None for bytes that are no result of this version."""
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
            if header["format"] != FORMAT:
                return None
            said = {"ngspice_version": header["version"], "log": header["log"]}
            if header["kind"] == "noise":
                return NoiseResult(arrays["frequency"], arrays["density"], float(header["total"]), **said)
            volts = dict(zip(header["nodes"], arrays["voltages"], strict=True))
            if header["kind"] == "transient":
                return TransientResult(arrays["time"], volts, **said)
            return OperatingPointResult({node: float(value) for node, value in volts.items()}, **said)
    except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile):
        return None


def _read(path: Path) -> Result | None:
    """A kept result; None if there is none, or if the file is damaged (it is then simulated again)."""
    try:
        return _unpacked(path.read_bytes())
    except OSError:
        return None


def _write(path: Path, result: Result) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(_packed(result))
    os.replace(temporary, path)
