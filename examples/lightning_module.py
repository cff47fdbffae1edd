"""Training in Lightning by natural gradient: a module with manual optimisation.

    python examples/lightning_module.py                      (digits; 3 epochs by NGD)
    python examples/lightning_module.py --optimizer tngd --accumulate 2 --epochs 5

The optimizer's closure returns (loss, outputs) and calls no backward, so that the module optimises by hand: `prepare` for
each micro-batch, `step` after the last. Schedules, checkpoints and resuming are Lightning's own.

Needs `pip install 'thermograd[llm]'`.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import thermograd as tg
from thermograd.optim import digits

try:
    import lightning
except ModuleNotFoundError as error:
    raise SystemExit(f"{error}: pip install 'thermograd[llm]'") from None

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "ngd": (tg.NGD, {"lr": 0.3, "damping": 0.3}),
    "tngd": (tg.TNGD, {"lr": 0.3, "damping": 0.3, "duration": 20.0}),
}


class NaturalModule(lightning.LightningModule):
    """A classifier with one of thermograd's optimizers.

    Args:
        network: outputs (b, classes).
        optimizer: a name of `OPTIMIZERS`.
        accumulate: micro-batches of an update.
    """

    def __init__(self, network: torch.nn.Module, optimizer: str = "ngd", accumulate: int = 1) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self.kind, self.accumulate = network, optimizer, accumulate

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """One micro-batch; an update after every `accumulate` of them."""
        x, y = batch
        optimizer = self.optimizers()

        def closure() -> tuple[Tensor, Tensor]:
            z = self.network(x)
            return F.cross_entropy(z, y), z

        self.log("loss", optimizer.optimizer.prepare(closure), prog_bar=True)
        if (index + 1) % self.accumulate == 0:
            optimizer.step()
            self.lr_schedulers().step()

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Accuracy."""
        x, y = batch
        self.log("accuracy", (self.network(x).argmax(-1) == y).float().mean(), prog_bar=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """With a schedule of torch's."""
        kind, settings = OPTIMIZERS[self.kind]
        optimizer = kind(self.network.parameters(), **settings)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.995)}


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Train on digits; the held-out accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="ngd")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16, help="samples of a micro-batch (default 16)")
    parser.add_argument("--accumulate", type=int, default=1, help="micro-batches of an update (default 1)")
    parser.add_argument("--out", default="out/lightning", help="holds the checkpoints")
    parser.add_argument("--resume", help="a checkpoint to go on from")
    arguments = parser.parse_args(argv)
    lightning.seed_everything(0, verbose=False)
    task = digits()
    module = NaturalModule(task.model(), arguments.optimizer, arguments.accumulate)
    trainer = lightning.Trainer(
        max_epochs=arguments.epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        default_root_dir=arguments.out,
        enable_model_summary=False,
    )
    training = DataLoader(
        TensorDataset(task.train_inputs, task.train_targets), arguments.batch, shuffle=True, drop_last=True
    )
    held_out = DataLoader(TensorDataset(task.test_inputs, task.test_targets), 360)
    trainer.fit(module, training, held_out, ckpt_path=arguments.resume, weights_only=True)
    found = trainer.validate(module, held_out, verbose=False)[0]
    print(f"held-out accuracy {found['accuracy']:.3f} after {arguments.epochs} epochs by {arguments.optimizer}")
    return {"accuracy": float(found["accuracy"])}


if __name__ == "__main__":
    main()
