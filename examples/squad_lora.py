"""Low-rank adapters on SQuAD by TNGD-Adam, in a training loop of one's own.

    python examples/squad_lora.py --data squad.json --model FOLDER            (60 steps, some four minutes on one core)
    python examples/squad_lora.py --data squad.json --model FOLDER --optimizer adam

`--model` is a saved DistilBERT with its tokenizer. Each attention matrix W becomes W x + (alpha / r) B A dropout(x), and A, B and the head
are trained. The curvature is the Monte-Carlo Fisher matrix: one drawn first and last token a sample, so that the system of a step has as
many unknowns as the batch has samples, whatever the number of tokens.

Needs `pip install 'thermograd[llm]'`.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import torch
from torch import Tensor

import thermograd as tg

try:
    from peft import LoraConfig, get_peft_model
    from transformers import DistilBertForQuestionAnswering
except ModuleNotFoundError as error:
    raise SystemExit(f"{error}: pip install 'thermograd[llm]'") from None


class Spans(torch.nn.Module):
    """Logits (b, 2, T) of an answer's first and last token; large and negative outside of the paragraph."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        off = {"dropout": 0.0, "attention_dropout": 0.0, "qa_dropout": 0.0}  # what is frozen needs none
        body = DistilBertForQuestionAnswering.from_pretrained(folder, dtype=torch.float32, **off)
        adapters = LoraConfig(
            r=2,
            lora_alpha=32,
            lora_dropout=0.1,
            target_modules=["q_lin", "k_lin", "v_lin", "out_lin"],
            modules_to_save=["qa_outputs"],
        )
        self.body = get_peft_model(body, adapters)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens, filled, inside = inputs.unbind(1)
        found = self.body(input_ids=tokens, attention_mask=filled)
        logits = torch.stack((found.start_logits, found.end_logits), dim=1)
        return logits.masked_fill(inside[:, None] == 0, -1e4)


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="questions in SQuAD's format")
    parser.add_argument(
        "--model", type=Path, required=True, metavar="FOLDER", help="a saved DistilBERT and its tokenizer"
    )
    parser.add_argument("--optimizer", choices=("tngd-adam", "adam"), default="tngd-adam")
    parser.add_argument("--lr", type=float, default=3e-3, help="learning rate (default 3e-3)")
    parser.add_argument("--steps", type=int, default=60, help="updates (default 60)")
    parser.add_argument("--batch", type=int, default=32, help="questions of a step (default 32)")
    parser.add_argument("--length", type=int, default=128, help="tokens of a window (default 128)")
    parser.add_argument("--held-out", type=int, default=10, help="articles kept for the test (default 10)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)

    torch.manual_seed(arguments.seed)
    settings = {"path": arguments.data, "model": arguments.model, "length": arguments.length}
    task = tg.make_task("squad", {**settings, "held_out": arguments.held_out})
    model = Spans(arguments.model).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    print(f"{sum(p.numel() for p in trained)} parameters trained on {len(task.inputs)} questions")
    optimizer: torch.optim.Optimizer
    if arguments.optimizer == "adam":
        optimizer = torch.optim.Adam(trained, lr=arguments.lr)
    else:  # duration: read after 5 tau, where x(t) is the natural gradient to a percent; smaller ones are nearer to the gradient
        optimizer = tg.TNGD(
            trained, lr=arguments.lr, damping=1.0, duration=5.0, system="primal", reading="bare", curvature="mc-fisher", update="adam"
        )  # fmt: skip

    questions = torch.utils.data.TensorDataset(task.inputs, task.targets)
    loader = torch.utils.data.DataLoader(questions, arguments.batch, shuffle=True, drop_last=True)
    epochs = itertools.chain.from_iterable(itertools.repeat(loader))
    for step, (inputs, targets) in zip(range(1, arguments.steps + 1), epochs, strict=False):

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> tuple[Tensor, Tensor]:
            logits = model(inputs)  # both heads as rows of one tensor, with a softmax over tokens each
            return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()), logits

        if arguments.optimizer == "adam":
            optimizer.zero_grad()
            value, _ = closure()
            value.backward()
            optimizer.step()
            loss = float(value.detach())
        else:  # without backward: the optimizer needs the outputs
            loss = optimizer.step(closure)
        if step in (1, arguments.steps) or step % 10 == 0:
            print(f"step {step}: loss {loss:.3f}")

    found = task.metrics(model)
    print(
        ", ".join(f"{name} {100 * value:.1f} %" for name, value in found.items()),
        f"of {len(task.judged)} held-out questions",
    )
    return found


if __name__ == "__main__":
    main()
