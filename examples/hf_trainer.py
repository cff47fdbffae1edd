"""Fine-tuning with transformers' Trainer by natural gradient.

    python examples/hf_trainer.py                                            (a tiny random network; needs no data)
    python examples/hf_trainer.py --model FOLDER --data squad.json --optimizer tngd-adam
    python examples/hf_trainer.py --steps 40 --out out/hf --resume           (goes on from the last checkpoint in out/hf)

The Trainer calls backward in `training_step` and then `optimizer.step()` without a closure. `NaturalTrainer` calls `optimizer.prepare` in
place of backward, so that schedules, gradient accumulation, logs, evaluation, checkpoints and resuming are the Trainer's own. No gradient
is ever left in `.grad`: what clips (`max_grad_norm`) is the optimizer's `clip`.

Trained are the head and the last `--layers` layers; embeddings stay frozen. With `--data` (a file in SQuAD's format) the task is to find an
answer's first and last token, which are two softmax heads over positions: logits stacked to (b, 2, T). Without, it is to classify
which of two groups of tokens is more frequent in a sequence of random length.

Needs `pip install 'thermograd[llm]'`.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import thermograd as tg

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a model is a path here

try:
    from transformers import (
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DistilBertConfig,
        DistilBertForSequenceClassification,
        PreTrainedModel,
        Trainer,
        TrainingArguments,
    )
    from transformers.trainer_utils import get_last_checkpoint, set_seed
except ModuleNotFoundError as error:
    raise SystemExit(f"{error}: pip install 'thermograd[llm]'") from None

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "ngd": (tg.NGD, {"damping": 0.1, "lr": 0.2}),
    "tngd-adam": (tg.TNGD, {"damping": 0.1, "lr": 2e-3, "duration": 2.0, "update": "adam"}),
    "adamw": (torch.optim.AdamW, {"lr": 2e-3}),
}
TOKENS, LENGTH = 60, 16  # of the random sequences


class NaturalTrainer(Trainer):
    """A Trainer for thermograd's optimizers; with any other it is the Trainer that it was.

    A loss that the model makes by itself would do as well, where it is a function of one output tensor: then `prepare` is given
    (outputs.loss, outputs.logits).
    """

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Cross-entropy of z, (b, C) or (b, heads, C), against one label for each head."""
        features = {name: value for name, value in inputs.items() if name not in self.label_names}
        labels = torch.stack([inputs[name] for name in self.label_names], dim=-1)
        found = model(**features)
        z = torch.stack((found.start_logits, found.end_logits), 1) if "start_logits" in found else found.logits
        loss = F.cross_entropy(z.flatten(0, -2), labels.flatten())
        return (loss, {"logits": z}) if return_outputs else loss

    def training_step(self, model, inputs, num_items_in_batch=None):
        """`prepare` in place of backward; the Trainer calls `step` after the last micro-batch."""
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)  # accelerate wraps it
        if not hasattr(optimizer, "prepare"):
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        batch = self._prepare_inputs(inputs)

        def closure() -> tuple[Tensor, Tensor]:
            with self.compute_loss_context_manager():
                loss, found = self.compute_loss(model, batch, return_outputs=True)
            return loss, found["logits"]

        with self.accelerator.no_sync(model):  # the optimizer gathers by itself, and DistributedDataParallel need not
            loss = optimizer.prepare(closure)
        return torch.tensor(loss / self.current_gradient_accumulation_steps, device=self.args.device)


def synthetic(count: int, seed: int) -> list[dict[str, Tensor]]:
    """Padded sequences; the label is whether more than half of a sequence's tokens are of the upper half of the vocabulary."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(5, LENGTH + 1, (count, 1), generator=generator)
    mask = torch.arange(LENGTH) < lengths
    ids = torch.randint(1, TOKENS, (count, LENGTH), generator=generator) * mask
    labels = ((ids >= TOKENS // 2).sum(1) * 2 > lengths[:, 0]).long()
    parts = zip(ids, mask.long(), labels, strict=True)
    return [{"input_ids": i, "attention_mask": m, "labels": y} for i, m, y in parts]


def questions(path: Path, tokenizer: Any, length: int) -> list[dict[str, Tensor]]:
    """Those whose answer occurs once in its paragraph, and within the first `length` tokens."""
    data = json.loads(path.read_text(encoding="utf-8"))["data"]
    found = []
    for paragraph in (p for article in data for p in article["paragraphs"]):
        text = paragraph["context"]
        for asked in paragraph["qas"]:
            answer, start = asked["answers"][0]["text"], asked["answers"][0]["answer_start"]
            if text.count(answer) != 1:
                continue
            encoded = tokenizer(
                asked["question"], text, truncation="only_second", max_length=length, padding="max_length"
            )
            first, last = (encoded.char_to_token(i, sequence_index=1) for i in (start, start + len(answer) - 1))
            if first is None or last is None:
                continue
            row = {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
            row |= {"start_positions": first, "end_positions": last}
            found.append({name: torch.tensor(value) for name, value in row.items()})
    return found


def make(arguments: argparse.Namespace) -> tuple[PreTrainedModel, list[dict[str, Tensor]]]:
    """Model and samples."""
    if arguments.data is not None:
        tokenizer = AutoTokenizer.from_pretrained(arguments.model)
        model = AutoModelForQuestionAnswering.from_pretrained(arguments.model, dtype=torch.float32)
        return model, questions(arguments.data, tokenizer, arguments.length)
    if arguments.model is not None:
        model = AutoModelForSequenceClassification.from_pretrained(arguments.model, num_labels=2, dtype=torch.float32)
    else:
        sizes = {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2, "max_position_embeddings": LENGTH}
        model = DistilBertForSequenceClassification(DistilBertConfig(vocab_size=TOKENS, **sizes))
    return model, synthetic(arguments.held_out + 2000, arguments.seed)


def freeze(model: PreTrainedModel, layers: int) -> None:
    """All but the head and the last layers."""
    body = model.base_model
    body.requires_grad_(False)
    stacks = [part for part in body.modules() if isinstance(part, torch.nn.ModuleList)]
    if layers > 0:
        stacks[0][-layers:].requires_grad_(True)


def accuracy(found: Any) -> dict[str, float]:
    """The part of the samples of which all heads are right."""
    labels = np.stack(found.label_ids, -1) if isinstance(found.label_ids, tuple) else found.label_ids[:, None]
    right = found.predictions.argmax(-1).reshape(labels.shape) == labels
    return {"accuracy": float(right.all(-1).mean())}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a saved transformers model and its tokenizer")
    parser.add_argument("--data", type=Path, metavar="FILE", help="questions in SQuAD's format; needs --model")
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="ngd")
    parser.add_argument("--lr", type=float, help="learning rate (default: the optimizer's in OPTIMIZERS)")
    parser.add_argument("--layers", type=int, default=1, help="trained beside the head, from the last (default 1)")
    parser.add_argument("--steps", type=int, default=20, help="updates (default 20)")
    parser.add_argument("--batch", type=int, default=8, help="samples of a micro-batch (default 8)")
    parser.add_argument("--accumulate", type=int, default=1, help="micro-batches of an update (default 1)")
    parser.add_argument("--length", type=int, default=96, help="tokens of question and paragraph (default 96)")
    parser.add_argument("--held-out", type=int, default=64, help="samples kept for evaluation (default 64)")
    parser.add_argument("--save-steps", type=int, default=10, help="updates between checkpoints (default 10)")
    parser.add_argument("--out", type=Path, default=Path("out/hf"), metavar="FOLDER", help="holds the checkpoints")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cpu", action="store_true", help="though there is another device")
    arguments = parser.parse_args(argv)
    if arguments.data is not None and arguments.model is None:
        parser.error("--data needs --model, for its tokenizer")
    for name in ("model", "data"):
        path = getattr(arguments, name)
        if path is not None and not path.exists():
            parser.error(f"--{name}: there is no {path}")
    for name in ("steps", "batch", "accumulate", "held_out", "save_steps"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(arguments, name)}: give at least 1")
    last = get_last_checkpoint(str(arguments.out)) if arguments.resume and arguments.out.is_dir() else None
    if arguments.resume and last is None:
        parser.error(f"--resume: there is no checkpoint in {arguments.out}")

    set_seed(arguments.seed)
    model, samples = make(arguments)
    if len(samples) < arguments.held_out + arguments.batch * arguments.accumulate:
        parser.error(f"{len(samples)} samples are too few for --held-out {arguments.held_out} and one update")
    freeze(model, arguments.layers)
    kind, settings = OPTIMIZERS[arguments.optimizer]
    settings = settings if arguments.lr is None else {**settings, "lr": arguments.lr}
    trainer = NaturalTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(arguments.out),
            max_steps=arguments.steps,
            per_device_train_batch_size=arguments.batch,
            per_device_eval_batch_size=arguments.batch,
            gradient_accumulation_steps=arguments.accumulate,
            dataloader_drop_last=True,  # micro-batches count alike
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=3,
            max_grad_norm=0.0,
            weight_decay=0.01,
            logging_steps=5,
            save_steps=arguments.save_steps,
            save_total_limit=2,
            seed=arguments.seed,
            use_cpu=arguments.cpu,
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=samples[arguments.held_out :],
        eval_dataset=samples[: arguments.held_out],
        compute_metrics=accuracy,
        optimizer_cls_and_kwargs=(kind, settings),  # the Trainer makes two groups: with weight decay, and without
    )
    before = trainer.evaluate()
    trainer.train(resume_from_checkpoint=last)
    after = trainer.evaluate()
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(
        f"{type(model).__name__}, {count} parameters trained, {trainer.state.global_step} updates by {arguments.optimizer}"
    )
    for name, key in (("loss", "eval_loss"), ("accuracy", "eval_accuracy")):
        print(f"   held-out {name:>8}  {before[key]:.3f} -> {after[key]:.3f}")
    return {"before": before, "after": after, "trainer": trainer}


if __name__ == "__main__":
    main()
