"""Overhead of an analog tile over plain torch with the same DAC, noise and ADC.

    python benchmarks/devicemodel/tile.py        (some ten seconds)

512 x 512, technology `integrated` (8 bits), batches of 1, 64 and 1024. Methods are interleaved in one process; medians in ms, and the
extremes. `plain` is what one writes by hand: round, multiply, add Gaussian noise of one size, round, with no die behind it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from thermograd.devicemodel.devices.tile import AnalogTile

SIZE, BATCHES, ROUNDS = 512, (1, 64, 1024), 60


def plain(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """DAC, product, noise, ADC."""
    step = 2.0 / 255

    def product(x: Tensor) -> Tensor:
        driven = (x / step).round().clamp(-128, 127) * step
        seen = torch.nn.functional.linear(driven, weight)
        seen = seen + 1e-3 * torch.randn_like(seen)
        return (seen / step).round().clamp(-128, 127) * step

    return product


def main() -> None:
    """Print the table."""
    weight = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(0)) / SIZE**0.5
    contenders: dict[str, Callable[[Tensor], Tensor]] = {
        "linear": lambda x: torch.nn.functional.linear(x, weight),
        "plain": plain(weight),
        "tile": AnalogTile(weight, "integrated", die=1, output_range=4.0),
    }
    print(f"{SIZE} x {SIZE}, {torch.get_num_threads()} threads, ms\n")
    print("| batch | torch linear | plain DAC, noise, ADC | tile | tile / plain |\n|---|---|---|---|---|")
    with torch.no_grad():
        for batch in BATCHES:
            x = torch.rand(batch, SIZE, generator=torch.Generator().manual_seed(batch)) * 2 - 1
            taken: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(ROUNDS):
                for name, product in contenders.items():
                    product(x)
                    started = time.perf_counter()
                    for _ in range(5):
                        product(x)
                    taken[name].append((time.perf_counter() - started) / 5 * 1e3)
            shown = [
                f"{statistics.median(times):.3f} ({min(times):.3f} to {max(times):.3f})" for times in taken.values()
            ]
            ratios = [one / other for one, other in zip(taken["tile"], taken["plain"], strict=True)]
            print(f"| {batch} | {' | '.join(shown)} | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    main()
