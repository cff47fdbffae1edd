"""TensorBoard's event files of a training, by the package tensorboard, which is in the extra `thermograd[study]`."""

from __future__ import annotations

import importlib
import math
import shutil
from pathlib import Path
from typing import Any

from ...circuits.errors import InputError
from .train import History

_PER_STEP = ("loss", "processor_seconds", "hardware_seconds")


def require_tensorboard() -> Any:
    """torch's `SummaryWriter`. InputError where tensorboard is not installed."""
    try:
        return importlib.import_module("torch.utils.tensorboard").SummaryWriter
    except ImportError as error:
        raise InputError(f"--tensorboard needs tensorboard ({error}): pip install 'thermograd[study]'") from None


class Board:
    """A callback of `train` that writes loss, score and times of each step.

    A resumed training writes its earlier steps anew, in place of what the stopped one wrote, so that none stands twice.

    Args:
        folder: of the training's event files, which is emptied first.

    Raises:
        InputError: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._make = require_tensorboard()
        self.folder = folder
        self._writer: Any = None
        self._written = 0
        self._evaluated = 0

    def __call__(self, done: int, history: History) -> None:
        """Write the steps that are new."""
        if self._writer is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._writer = self._make(str(self.folder))
        for step in range(self._written, done):
            for name in _PER_STEP:
                value = getattr(history, name)[step]
                if math.isfinite(value):
                    self._writer.add_scalar(name, value, step + 1)
        for step, value in history.evaluations[self._evaluated :]:
            self._writer.add_scalar("score", value, step)
        self._written, self._evaluated = done, len(history.evaluations)

    def close(self) -> None:
        """Flush to disk."""
        if self._writer is not None:
            self._writer.close()
