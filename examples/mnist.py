"""MNIST by natural gradient, exact and on a die: the network of the published experiments, 28,602 parameters.

    python examples/mnist.py --data mnist.npz                                    (one epoch: minutes; --steps 1560 are the published ten)
    python examples/mnist.py --data mnist.npz --steps 60 --batch 16 --width 4    (a minute)

The data are not shipped: an .npz with x_train, y_train, x_test, y_test, or the folder of the four IDX files. It prints the loss every ten
steps and the test accuracy, of exact natural gradient and of TNGD on a die of 8 bits and 1 % mismatch, with refined readings and with bare
ones. Over ten epochs the refined die ends within the seeds' spread of exact natural gradient, and the bare one at chance (docs/mnist.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import thermograd as tg


def main(argv: list[str] | None = None) -> dict[str, tg.optim.History]:
    """Train three times; the histories by name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="PATH", help="default: the variable THERMOGRAD_MNIST")
    parser.add_argument(
        "--card",
        type=Path,
        metavar="FILE",
        help="of `thermograd calibrate`; default: the integrated preset's own figures",
    )
    parser.add_argument("--die", type=int, default=1, help="its seed (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (default 0)")
    parser.add_argument("--steps", type=int, default=156, help="updates (default 156, an epoch)")
    parser.add_argument("--batch", type=int, default=64, help="samples a step (default 64)")
    parser.add_argument("--train", type=int, default=10_000, help="images (default 10000)")
    parser.add_argument("--test", type=int, default=10_000, help="images (default 10000)")
    parser.add_argument("--width", type=int, default=16, help="channels of the convolution (default 16)")
    arguments = parser.parse_args(argv)
    try:
        task = tg.make_task(
            "mnist",
            {"path": arguments.data, "train": arguments.train, "test": arguments.test, "width": arguments.width},
        )
    except tg.InputError as error:
        parser.error(str(error))
    card = tg.DeviceCard.uncalibrated("integrated") if arguments.card is None else tg.DeviceCard.read(arguments.card)

    def report(done: int, history: tg.optim.History) -> None:
        if done % 10 == 0:
            print(f"   step {done}: loss {history.loss[-1]:.3f}", flush=True)

    found = {}
    for name, optimizer, reading in (
        ("exact NGD", "ngd", ""),
        ("TNGD, refined", "tngd", "refined"),
        ("TNGD, bare", "tngd", "bare"),
    ):
        print(name)
        device = tg.SurrogateDevice(card, arguments.die, arguments.seed, extrapolate=True) if reading else None
        settings = {"reading": reading} if reading else {}
        history = tg.train(
            task,
            optimizer,
            arguments.steps,
            arguments.batch,
            arguments.seed,
            device,
            callbacks=[report],
            evaluate_every=0,
            settings=settings,
        )
        found[name] = history
        print(f"   test accuracy {100 * history.final_score:.2f} % after {arguments.steps} steps")
    return found


if __name__ == "__main__":
    main()
