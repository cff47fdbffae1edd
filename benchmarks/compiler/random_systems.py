"""Random systems through one fabric: a circuit whose text solves the system within the predicted bound, or a typed rejection.

    python benchmarks/compiler/random_systems.py --fabric oscillator        (1,000 systems; minutes of one core)

The systems, technologies and the independent solver of the emitted text are those of `tests/compiler/test_thousand_systems.py`, of which
the tests run a slice: up to 24 unknowns of seven kinds of matrices (graded, singular with damping, indefinite, ...), condition numbers up
to 1e6 and more, four technologies, codes, preferred numbers, pruning and equilibration. Any other end is an error and stops the run.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from thermograd.circuits.errors import InputError

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

thousand: Any = importlib.import_module("tests.compiler.test_thousand_systems")


def main() -> None:
    """Run them, and print how they ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fabric", default="oscillator")
    parser.add_argument("--systems", type=int, default=1000)
    options = parser.parse_args()
    errors, reasons, rejections = [], collections.Counter[str](), []
    for seed in range(options.systems):
        end = thousand.compiled_or_rejected(options.fabric, seed)
        if isinstance(end, InputError):
            rejections.append(str(end))
            # Without the system's own figures.
            reasons[re.sub(r"[-+]?[\d.]+(e[-+]?\d+)?", "#", re.split(r"[,;]| with damping| is #", str(end))[0])] += 1
        else:
            errors.append(end)
    thousand.assert_remedies(rejections)
    share = np.quantile(errors, [0.5, 0.9, 1.0])
    print(
        f"{options.fabric}: {len(errors)} of {options.systems} compiled, all within their bounds; {len(rejections)} rejected"
    )
    print("error over |A^-1 b|: median {:.1e}, of one in ten at least {:.1e}, largest {:.1e}".format(*share))
    for reason, count in reasons.most_common():
        print(f"{count:5}  {reason}")


if __name__ == "__main__":
    main()
