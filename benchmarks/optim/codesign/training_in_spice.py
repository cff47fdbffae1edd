"""Training with ngspice in the loop, and with the surrogate of the same dies: do they end alike?

    OMP_NUM_THREADS=1 python benchmarks/optim/codesign/training_in_spice.py [--dies 1,2,3,4,5] [--steps 200] [--readings bare,refined]

Digits, odd or even, by TNGD in dual systems of 8 unknowns (batch 8): each step's system is programmed on the die, in ngspice on its
netlist, as a transient with thermal noise, or with --settled as an operating point. Dies are `integrated` made worse (`POINT`), so that
they differ. For each die the training loss (mean of the last tenth of the steps) by ngspice, by the surrogate with the same seed, and by
the surrogate with `SEEDS` other seeds of the noise. Agreement: the root mean square difference of ngspice's and the surrogate's loss,
against the standard deviation of the loss over dies, and against what noise alone does to it. Control: the surrogate of the next die.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from torch import nn

from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Device
from thermograd.optim.codesign.knobs import DesignPoint
from thermograd.optim.codesign.outcomes.spice_check import die_at, spice_of, surrogate_of
from thermograd.optim.tasks.classification import Classification
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.train import History, train

POINT = {"resistors.tolerance": 0.05, "adc.bits": 6, "opamp.offset": 2e-3}
BATCH, SETTINGS = 8, {"damping": 0.3, "lr": 0.3}
SEEDS = 2


def parity() -> Classification:
    """The digits task with two classes, odd and even, so that a batch of n has a dual system of n unknowns."""
    task = digits()
    return Classification(
        "digits, odd or even",
        task.train_inputs,
        task.train_targets % 2,
        task.test_inputs,
        task.test_targets % 2,
        lambda: nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 2)),
    )


def ended(history: History) -> float:
    """Training loss."""
    return float(np.mean(history.loss[-max(1, len(history.loss) // 10) :]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dies", default="1,2,3,4,5")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--readings", default="bare,refined")
    parser.add_argument("--card", default="shipped:integrated")
    parser.add_argument("--settled", action="store_true", help="operating points in place of transients")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task, card, point = parity(), DeviceCard.read(arguments.card), DesignPoint(POINT)
    dies = [int(one) for one in arguments.dies.split(",")]
    duration = math.inf if arguments.settled else 20.0

    def trained(device: Device | None, reading: str) -> History:
        settings = {**SETTINGS, "reading": reading, "duration": duration if device else math.inf}
        return train(task, "tngd", arguments.steps, BATCH, 0, device=device, evaluate_every=0, settings=settings)

    exact = trained(None, "bare")
    print(f"exact NGD: training loss {ended(exact):.4f}, test accuracy {100 * exact.final_score:.2f} %\n")
    print(
        "| reading | die | loss, ngspice | surrogate | apart | surrogate, other noise | next die | accuracy, ngspice / surrogate, % | s |"
    )
    print(f"|{'---|' * 9}")
    for reading in arguments.readings.split(","):
        rows = []
        for die in dies:
            made, started = die_at(point, card, die, 0), time.perf_counter()
            spice = trained(spice_of(made), reading)
            seconds = time.perf_counter() - started
            surrogate = trained(surrogate_of(made), reading)
            others = [ended(trained(die_at(point, card, die, seed), reading)) for seed in range(1, SEEDS + 1)]
            following = ended(trained(die_at(point, card, die + 1, 0), reading))
            rows.append(
                (ended(spice), ended(surrogate), float(np.mean(others)), float(np.std(others, ddof=1)), following)
            )
            a, b, mean, std, other = rows[-1]
            print(
                f"| {reading} | {die} | {a:.4f} | {b:.4f} | {a - b:+.4f} | {mean:.4f} +- {std:.4f} | {other:.4f} | "
                f"{100 * spice.final_score:.2f} / {100 * surrogate.final_score:.2f} | {seconds:.0f} |",
                flush=True,
            )
        table = np.array(rows)
        apart = math.sqrt(np.mean((table[:, 0] - table[:, 1]) ** 2))
        control = math.sqrt(np.mean((table[:, 0] - table[:, 4]) ** 2))
        noise = math.sqrt(2 * np.mean(table[:, 3] ** 2))
        print(
            f"\n{reading}: ngspice and surrogate apart {apart:.4f} (rms); std over dies {table[:, 0].std(ddof=1):.4f}; expected of noise "
            f"alone {noise:.4f}; next die {control:.4f}\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
