"""Time of rows of the Jacobian for parameters without a direct form: through the nodes that use them, and by a backward pass for each.

    python benchmarks/optim/curvature/graph_rows.py [--repeat 5] [--docs docs/curvature.md]

Networks with cross-entropy of 10 classes have 64 samples, k = 576, in float32; physics-informed networks are closures of a user's own,
in float64. Times are medians of the processor time of one thread, in ms; that of plain passes is extrapolated from `PLAIN_ROWS` rows.
"Adam" is Adam's step with the same closure.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from thermograd.circuits.files import write_text
from thermograd.optim.curvature.batch import Closure, evaluate
from thermograd.optim.curvature.curvature import Curvature
from thermograd.optim.curvature.residuals.derivatives import laplacian
from thermograd.optim.curvature.rows.node_rows import node_rows
from thermograd.optim.optimizers.ngd import NGD

sys.path.insert(0, str(Path(__file__).resolve().parent))

from processor_time import milliseconds

BATCH = 64
PLAIN_ROWS = 40
WEIGHT = 100.0
MARK = "graph rows"


@dataclass(frozen=True, eq=False)
class Case:
    """A model and the closure of one batch."""

    name: str
    model: nn.Module
    closure: Closure


class Transformer(nn.Module):
    """A class token and embedded positions before two layers of torch's encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.token = nn.Linear(48, 64), nn.Parameter(torch.randn(1, 1, 64) / 8)
        self.places = nn.Parameter(torch.randn(1, 17, 64) / 8)
        layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of sequences (b, 16, 48)."""
        h = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x)], 1) + self.places
        found: Tensor = self.head(self.encoder(h)[:, 0])
        return found


class Recurrent(nn.Module):
    """A recurrent layer and a head on its last state."""

    def __init__(self, layer: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of sequences (b, 12, 16)."""
        found: Tensor = self.head(self.layer(x)[0][:, -1])
        return found


def convolutional() -> nn.Module:
    """With a normalised weight."""
    inner = nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 32, 3, padding=1))
    first = (nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*first, inner, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10))


def classified(name: str, model: nn.Module, shape: tuple[int, ...], fused: bool = True) -> Case:
    """Cross-entropy of random inputs and labels."""
    x, y = torch.randn(BATCH, *shape), torch.randint(10, (BATCH,))

    def closure() -> tuple[Tensor, Tensor]:
        with contextlib.nullcontext() if fused else torch.backends.mkldnn.flags(enabled=False):
            z = model(x)
        return nn.functional.cross_entropy(z, y), z

    return Case(name, model, closure)


def nested(model: nn.Module, x: Tensor) -> Tensor:
    """Laplacian of the batch by autograd.grad of autograd.grad."""
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    seconds = [torch.autograd.grad(slope[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(x.shape[1])]
    return sum(seconds[1:], seconds[0])


def forward(model: nn.Module, x: Tensor) -> Tensor:
    """Laplacian of the batch in forward mode."""
    return laplacian(model, x)[:, 0]


def physics(
    name: str, widths: Sequence[int], inside: int, edge: int, operator: Callable[[nn.Module, Tensor], Tensor]
) -> Case:
    """Poisson's equation in a cube, with zeros at random points as the boundary."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after, dtype=torch.float64), nn.Tanh()]
    model = nn.Sequential(*layers[:-1])
    x, y = (torch.rand(n, widths[0], dtype=torch.float64) for n in (inside, edge))
    f = widths[0] * math.pi**2 * torch.sin(math.pi * x).prod(1)

    def closure() -> tuple[Tensor, Tensor]:
        r = torch.cat([operator(model, x) + f, WEIGHT * model(y)[:, 0]])
        return r.square().sum() / 2, r

    return Case(f"{name} {'-'.join(map(str, widths))}, {inside} + {edge} points", model, closure)


def cases() -> list[Case]:
    """All rows of the table."""
    torch.manual_seed(0)
    return [
        physics("physics-informed", (2, 32, 32, 1), 200, 160, nested),
        physics("the same, `laplacian`", (2, 32, 32, 1), 200, 160, forward),
        physics("physics-informed", (5, 64, 64, 48, 48, 1), 1000, 200, nested),
        classified("transformer", Transformer(), (16, 48)),
        classified("CNN, weight norm", convolutional(), (1, 28, 28)),
        classified("GRU", Recurrent(nn.GRU(16, 64, batch_first=True)), (12, 16)),
        classified("LSTM, fused", Recurrent(nn.LSTM(16, 64, batch_first=True)), (12, 16)),
        classified("LSTM, not fused", Recurrent(nn.LSTM(16, 64, batch_first=True)), (12, 16), fused=False),
    ]


def times(case: Case, repeat: int) -> list[str]:
    """A row of the table."""
    parameters: list[Tensor] = list(case.model.parameters())
    adam, ngd = torch.optim.Adam(parameters, lr=1e-6), NGD(parameters, lr=1e-6, damping=1.0)

    def adam_step() -> None:
        adam.zero_grad()
        case.closure()[0].backward()
        adam.step()

    of_adam, of_ngd = milliseconds(adam_step, 4 * repeat), milliseconds(lambda: ngd.step(case.closure), repeat)
    found = Curvature(evaluate(case.closure), parameters)
    needed = [parameters[i] for i in found.fallbacks]
    outputs, factor = found.batch.outputs, found.loss.factor
    through, plain = "-", "-"
    if needed:
        known = node_rows(outputs, factor, needed)
        through = f"{milliseconds(lambda: node_rows(outputs, factor, needed), repeat):.3g}"
        through += "" if all(rows is not None for rows in known) else " (not all)"
        plain = f"{_plain(outputs, factor, needed) * found.cells:.3g}"
    numel = sum(p.numel() for p in needed)
    return [
        case.name,
        f"{numel:,}",
        f"{found.cells:,}",
        f"{of_adam:.3g}",
        through,
        plain,
        f"{of_ngd:.3g}",
        f"{of_ngd / of_adam:.1f}",
    ]


def _plain(outputs: Tensor, factor: Tensor, parameters: list[Tensor]) -> float:
    """ms of a row, one direction of the first samples."""

    def act() -> None:
        for i in range(PLAIN_ROWS):
            one = torch.zeros_like(outputs)
            one[i] = factor[i, :, 0].reshape(one[i].shape)
            torch.autograd.grad(outputs, parameters, one, retain_graph=True, allow_unused=True)

    return milliseconds(act, 1) / PLAIN_ROWS


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="runs of which a time is the median")
    parser.add_argument("--docs", type=Path, help="page whose table to replace")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    heads = [
        "model",
        "parameters by rows",
        "k",
        "Adam's step",
        "rows",
        "rows, plain passes",
        "NGD's step",
        "multiple of Adam's",
    ]
    lines = [heads, ["---"] * len(heads)]
    for case in cases():
        lines.append(times(case, given.repeat))
        print(f"| {' | '.join(lines[-1])} |", flush=True)
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if given.docs is not None:
        before, rest = given.docs.read_text(encoding="utf-8").split(f"<!-- {MARK} -->\n")
        _, after = rest.split("<!-- end -->", 1)
        write_text(given.docs, f"{before}<!-- {MARK} -->\n{table}\n<!-- end -->{after}")


if __name__ == "__main__":
    main()
