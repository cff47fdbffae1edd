"""Training of many dies in one batched call against one after another: the same dies and seeds, timed side by side.

    python benchmarks/optim/codesign/die_trainings.py --dies 100 --steps 30 --batch 8 --card gf180mcu

Both are timed by the processor time of one thread, in turns: some dies one by one, all together, some others one by one, and so on, so that
what else the machine does falls on both alike. A single training's time is the mean of those that were run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.optim.training.die_trainings import train_dies
from thermograd.optim.training.train import train

SETTINGS = {"reading": "bare"}


def main() -> None:
    """Print a line for each round, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dies", type=int, default=100)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--card", default="gf180mcu", help="a preset technology")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--singles", type=int, default=2, help="single trainings in each round")
    given = parser.parse_args()
    torch.set_num_threads(1)
    card = DeviceCard.uncalibrated(preset(given.card))
    ratios, differences = [], []
    train_dies("digits", card, [0], 2, given.batch, settings=SETTINGS, extrapolate=True)
    train("digits", "tngd", 2, given.batch, device=SurrogateDevice(card, 0, extrapolate=True), settings=SETTINGS)
    for turn in range(given.rounds):
        dies = range(turn * given.dies, (turn + 1) * given.dies)
        single, losses = [], []
        for die in list(dies)[: given.singles]:
            device, start = SurrogateDevice(card, die, 0, extrapolate=True), time.process_time()
            history = train("digits", "tngd", given.steps, given.batch, 0, device, evaluate_every=0, settings=SETTINGS)
            single.append(time.process_time() - start)
            losses.append(history.loss[-1])
        start = time.process_time()
        found = train_dies("digits", card, dies, given.steps, given.batch, settings=SETTINGS, extrapolate=True)
        together = (time.process_time() - start) / given.dies
        ratios.append(float(np.mean(single)) / together)
        differences += [abs(one.loss[-1] - loss) for one, loss in zip(found, losses, strict=False)]
        print(
            f"one by one {1e3 * np.mean(single) / given.steps:7.2f} ms a die and step, together "
            f"{1e3 * together / given.steps:6.2f} ms: {ratios[-1]:5.1f} times faster",
            flush=True,
        )
    print(
        f"{given.card}, batch {given.batch}, {given.dies} dies, {given.steps} steps: {np.mean(ratios):.1f} times faster "
        f"({min(ratios):.1f} to {max(ratios):.1f}); last losses differ by at most {max(differences):.2g}"
    )


if __name__ == "__main__":
    main()
