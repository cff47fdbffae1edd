r"""Random models, losses and maskings: each step of each optimizer against the dense (C + lambda I)^-1 g in float64.

    python benchmarks/optim/curvature/oracle_fuzz.py --seconds 120 --seed 0 [--json faults.json]
    python benchmarks/optim/curvature/oracle_fuzz.py --seed 0 --place 17            # one case alone, with its model

A case is a network from a grammar of layers (`oracle_fuzz_parts/grammar.py`), with outputs that closures make of it in several ways, a loss
with weights and masks (`losses.py`), one to three micro-batches, an optimizer, and one to three steps. The oracle (`oracle.py`) shares
nothing with the package: a backward pass for each output, the dense Hessian of the loss. Each case ends in one of

    agrees    to 1e-6 in float64 (2e-3 in float32), within what rounding over the damping allows
    words     an InputError, listed by message; not due where the loss is convex, a sum over samples and twice differentiable
    fault     another step, another exception, a skipped step, generators or buffers that moved: the exit status is 1
    no case   torch itself cannot run or differentiate the network

`--control off` makes each step 1e-4 longer, `--control row` leaves out a sample: both must be found.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections import Counter
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))  # scripts, not a package

from oracle_fuzz_parts.examine import Control, Result, examine


def fuzz(seconds: float, seed: int, most: int | None = None, control: Control = "none", start: int = 0) -> list[Result]:
    """Cases of a seed, from `start` on, until the time (of the processor) or their number is up."""
    found: list[Result] = []
    until = time.process_time() + seconds
    place = start
    while time.process_time() < until and (most is None or place < start + most):
        found.append(examine(seed, place, control))
        place += 1
    return found


def table(found: list[Result]) -> str:
    """What became of the cases."""
    lines = [
        f"{len(found)} cases: " + ", ".join(f"{n} {kind}" for kind, n in Counter(r.kind for r in found).most_common())
    ]
    for kind, title in (
        ("fault", "Faults"),
        ("words", "Errors in words (* where no error was due)"),
        ("no case", "No case"),
    ):
        chosen = [r for r in found if r.kind == kind]
        counts = Counter((r.expected or kind != "words", r.what) for r in chosen)
        if chosen:
            lines.append(f"\n{title}:")
        for (expected, what), n in counts.most_common():
            places = [f"{r.seed}/{r.place}" for r in chosen if r.what == what][:4]
            lines.append(f"  {n:4d} {'' if expected else '* '}{what}   [{', '.join(places)}]")
    return "\n".join(lines)


def show(result: Result) -> str:
    """One case in full."""
    head = f"{result.seed}/{result.place} {result.kind} at step {result.step}: {result.what}\n{result.detail}"
    return f"{head}\n{result.solver}; {result.model}\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="of the processor")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", type=int, help="one case alone")
    parser.add_argument("--models", type=int, help="at most so many")
    parser.add_argument("--show", action="store_true", help="every fault in full")
    parser.add_argument("--control", choices=["none", "off", "row"], default="none")
    parser.add_argument("--json", type=Path, help="all results but those that agree")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.place is not None:
        result = examine(args.seed, args.place, args.control)
        print(show(result))
        sys.exit(int(result.kind == "fault"))
    found = fuzz(args.seconds, args.seed, args.models, args.control)
    print(table(found))
    faults = [r for r in found if r.kind == "fault"]
    if args.show:
        for result in faults:
            print("\n" + show(result))
    if args.json is not None:
        args.json.write_text(json.dumps([dataclasses.asdict(r) for r in found if r.kind != "agrees"], indent=1) + "\n")
    sys.exit(int(bool(faults)))


if __name__ == "__main__":
    main()
