r"""Speed of a natural-gradient step and its alternatives, as a multiple of one step of Adam on the same network and batch.

    python benchmarks/optim/ngd_speed.py [--mnist mnist.npz]            # six networks, b = 64: times and errors
    python benchmarks/optim/ngd_speed.py --growth --batches --memory    # N from 1e4 to 1e7; b from 16 to 256; peaks of memory
    python benchmarks/optim/ngd_speed.py --crossing                     # Gram matrix against conjugate gradients, b from 64 to 1024
    python benchmarks/optim/ngd_speed.py --all --out out/speed --docs docs/speed.md

curvlinops is included if it is installed, or found under --path:

    pip install --no-deps --target LIB -c constraints.txt \
        curvlinops-for-pytorch backpack-for-pytorch einconv einops linear-operator opt-einsum tqdm unfoldnd
    python benchmarks/optim/ngd_speed.py --path LIB

Methods are interleaved, in another order in each round; tables give medians of the ratio within a round, quartiles in brackets. Each
network is measured in a process of its own, after 50 steps of training. float32, damping 0.01, ten outputs. A step is everything that the
optimizer does: forward pass, loss, gradient, curvature, solution, update. The error is that of the step against the same law in float64
(`ngd_speed_parts/reference.py`). Two threads need two idle cores: with other load on one of them, torch's threads wait for each other
(`--threads 1` suffers least). Machines, versions and loads are in the JSON. Results of an earlier run in --out are kept unless this run
measures them again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.files import output_folder, write_file, write_text
from thermograd.cli.outputs import complain, note, say, to_json

sys.path.insert(0, str(Path(__file__).resolve().parent))

from ngd_speed_parts import measure, report
from ngd_speed_parts.methods import CROSSING, METHODS, Method
from ngd_speed_parts.problems import NETWORKS, images, network, problem

BATCH = 64
SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
BATCHES, BATCH_NETWORK = (16, 32, 64, 128, 256), "MLP 235k"
CROSSING_BATCHES, CROSSING_NETWORKS = (64, 256, 512, 1024), ("MLP 235k", "CNN 207k")
SECTIONS = ("networks", "memory", "growth", "batches", "crossing")
LIMIT = 3600
"""s for one process."""


def worker(task: dict[str, Any]) -> dict[str, Any]:
    """One measurement, in this process."""
    if task["threads"]:
        torch.set_num_threads(task["threads"])
    known = CROSSING if task["what"] == "crossing" else METHODS
    methods = [method for method in known if method.name in task["methods"]]
    data, device = images(Path(task["mnist"]) if task["mnist"] else None), task["device"]
    if task["what"] == "memory":
        try:
            return {"memory": measure.memory(task["network"], task["batch"], data, device, methods[0])}
        except measure.FAILURES as error:
            return {"note": measure.described(error)}
    made = problem(task["network"], task["batch"], data, device)
    found = {"batch": task["batch"], **measure.taking_turns(made, methods, task["rounds"])}
    if task["what"] == "networks":
        found["errors"] = measure.errors(made, methods)
    return found


def in_process(task: dict[str, Any], path: Path | None) -> dict[str, Any]:
    """`worker` in a process of its own; a note where it fails (usually out of memory)."""
    threads = {"OMP_NUM_THREADS": str(task["threads"])} if task["threads"] else {}
    command = [sys.executable, "-W", "ignore", __file__, "--worker", json.dumps(task)]
    try:
        run = subprocess.run(
            command + (["--path", str(path)] if path else []),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | threads,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        return {"note": f"took longer than {LIMIT} s"}
    except subprocess.CalledProcessError as error:
        return {"note": f"the process ended with status {error.returncode}"}
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def columns(section: str, options: argparse.Namespace, device: str) -> dict[str, dict[str, Any]]:
    """The section's table by columns: networks, sizes or batches."""
    chosen = [method for method in METHODS if options.methods is None or method.name in options.methods]
    if section in ("growth", "batches"):
        chosen = [method for method in chosen if method.swept or options.methods is not None]
    wanted: Iterable[tuple[str, str, int]] = [(name, name, BATCH) for name in options.networks]
    if section == "growth":
        wanted = [(f"N = {size}", f"N = {size}", BATCH) for size in options.sizes]
    elif section == "batches":
        wanted = [(f"b = {batch}", BATCH_NETWORK, batch) for batch in options.batch_sizes]
    elif section == "crossing":
        chosen = list(CROSSING)
        wanted = [(f"{name}, b = {b}", name, b) for name in CROSSING_NETWORKS for b in CROSSING_BATCHES]
    found: dict[str, dict[str, Any]] = {}
    for title, name, batch in wanted:
        note(f"{device}, {section}: {title}")
        task = {
            "what": section, "network": name, "batch": batch, "device": device, "threads": options.threads,
            "mnist": str(options.mnist) if options.mnist else None, "rounds": options.rounds,
            "methods": [method.name for method in chosen],
        }  # fmt: skip
        if section == "memory":
            found[title] = peaks(task, chosen, options.path)
            continue
        column = in_process(task, options.path)
        if "note" in column:
            note(f"{title}: {column['note']}")
        else:
            found[title] = column
    return found


def peaks(task: dict[str, Any], methods: list[Method], path: Path | None) -> dict[str, Any]:
    """Memory of each method, each in a process of its own."""
    column: dict[str, Any] = {"memory": {}, "notes": {}}
    for method in methods:
        one = in_process(task | {"methods": [method.name]}, path)
        if "note" in one:
            column["notes"][method.name] = one["note"]
        else:
            column["memory"][method.name] = one["memory"]
    return column


def machine(device: str, threads: int | None) -> dict[str, Any]:
    """The machine and versions of the measurement."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    try:
        curvlinops = version("curvlinops-for-pytorch")
    except PackageNotFoundError:
        curvlinops = "none"
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else name,
        "threads": threads or torch.get_num_threads(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "curvlinops": curvlinops,
    }


def stated(data: dict[str, Any]) -> str:
    """The line above a table."""
    m = data["machine"]
    load = f", load {m['load']} at the start" if m["load"] > 0.5 else ""
    return (
        f"{m['device']}, {m['threads']} of {m['cores']} cores{load}; torch {m['torch']}, curvlinops {m['curvlinops']}; "
        f"{data['images']}, {data['rounds']} rounds.\n\n"
    )


def write(found: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    """Tables on stdout; JSON, Markdown and picture in --out; tables in --docs."""
    texts: dict[str, str] = {}
    for device, sections in found.items():
        for section, data in sections.items():
            texts[f"{section}, {device}"] = stated(data) + report.TABLES[section](data["columns"])
            say(f"\n{section}, {device}\n\n{texts[f'{section}, {device}']}")
    if options.docs is not None:
        page = options.docs.read_text(encoding="utf-8")
        for name, text in texts.items():
            page = report.filled(page, f"speed: {name.removesuffix(', cpu')}", text)
        write_text(options.docs, page)
        note(f"wrote {options.docs}")
    if options.out is None:
        return
    target = output_folder(options.out) / "ngd_speed.json"
    kept = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    for device, sections in found.items():
        kept.setdefault(device, {}).update(sections)
    write_text(target, to_json(kept))
    parts = (
        f"## {section}, {device}\n\n{stated(data)}{report.TABLES[section](data['columns'])}"
        for device, sections in kept.items()
        for section, data in sections.items()
    )
    write_text(target.with_suffix(".md"), "\n".join(parts))
    for device, sections in kept.items():
        figure = report.picture({name: data["columns"] for name, data in sections.items()})
        if figure is not None:
            picture = target.with_suffix(".png" if device == "cpu" else f".{device}.png")
            write_file(picture, partial(figure.savefig, dpi=150))
            note(f"wrote {picture}")
    note(f"wrote {target} and {target.with_suffix('.md')}")


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--growth", action="store_true", help="N from 1e4 to 1e7, instead of the six networks")
    parser.add_argument("--batches", action="store_true", help="b from 16 to 256, likewise")
    parser.add_argument("--memory", action="store_true", help="peaks of memory of the six networks, likewise")
    parser.add_argument("--crossing", action="store_true", help="Gram matrix against conjugate gradients, likewise")
    parser.add_argument("--all", action="store_true", help="all five")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME", help='or "N = 100000"')
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="Adam is always among them; default: all")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="N", help="of --growth")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=BATCHES, metavar="b", help="of --batches")
    parser.add_argument(
        "--mnist", type=Path, metavar="FILE", help="npz with x_train and y_train; default: random images"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the CPU, then CUDA where there is one")
    parser.add_argument("--threads", type=int, help="default: torch's own choice")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--path", type=Path, metavar="FOLDER", help="where further packages are to be found")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for ngd_speed.json, .md and .png")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="page whose tables are to be replaced")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args(given)


def check(options: argparse.Namespace) -> None:
    """Raise InputError before the measurements."""
    known = [method.name for method in METHODS]
    unknown = [name for name in options.methods or [] if name not in known]
    if unknown:
        raise InputError(f"there is no method {unknown[0]!r}: give some of {', '.join(map(repr, known))}")
    if options.methods is not None and "Adam" not in options.methods:
        options.methods.append("Adam")
    for name in options.networks:
        network(name)
    for name, values in (("rounds", [options.rounds]), ("threads", [options.threads or 1]), ("sizes", options.sizes)):
        if min(values) < 1:
            raise InputError(f"--{name} is {min(values)}: give 1 or more")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device is 'cuda', but torch sees no CUDA device: give 'cpu', or a torch built for CUDA")
    data = images(options.mnist)
    for batch in options.batch_sizes:
        if not 1 <= batch <= len(data.y):
            raise InputError(f"--batch-sizes has {batch}: give 1 to {len(data.y)}, the number of images")
    if options.docs is not None and not options.docs.is_file():
        raise InputError(f"--docs is {str(options.docs)!r}, which is no file: give a page with the markers")
    if options.out is not None:
        output_folder(options.out)


def main(given: list[str] | None = None) -> None:
    options = arguments(given)
    if options.path is not None:
        # Behind the package's own environment: what is in both comes from there.
        sys.path.append(str(options.path.resolve()))
    if options.worker is not None:
        sys.stdout.write(json.dumps(worker(json.loads(options.worker))) + "\n")
        return
    began = time.perf_counter()
    check(options)
    if find_spec("curvlinops") is None:
        note("curvlinops is not found: its rows are left out (pip install 'thermograd[bench]', or --path)")
    chosen = [name for name in SECTIONS if options.all or getattr(options, name, False) is True] or ["networks"]
    load = os.getloadavg()[0]
    if load > 1:
        note(
            f"the machine is busy (load {load:.1f}): figures of two threads will mean little; wait, or give --threads 1"
        )
    devices = [options.device] if options.device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    found: dict[str, dict[str, Any]] = {}
    for device in devices:
        for section in chosen:
            record = {"machine": machine(device, options.threads), "rounds": options.rounds}
            record["images"] = "MNIST" if options.mnist else "random images"
            found.setdefault(device, {})[section] = record | {"columns": columns(section, options, device)}
    write(found, options)
    note(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        complain(error)
        sys.exit(2)
