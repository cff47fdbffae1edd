"""Rejection of torch's GradScaler, whose factor would change the damping.

With the loss scaled by S the step is (S C + lambda I)^-1 S g = (C + lambda / S I)^-1 g: that of another damping.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest.mock import patch

import torch

from ...circuits.errors import InputError

_REMEDY = (
    "leave it out, and call optimizer.step(closure) with the loss as it is; should gradients underflow in float16, run "
    "the model in bfloat16"
)


def reject_scaler() -> NoReturn:
    """InputError for `GradScaler.step(optimizer)`."""
    raise InputError(
        f"GradScaler steps by the parameters' gradients, which a natural-gradient step does not use: {_REMEDY}"
    )


@contextmanager
def unscaled_loss() -> Iterator[None]:
    """InputError where a closure that runs inside scales its loss by an enabled GradScaler."""
    scale = torch.amp.GradScaler.scale

    def checked(self: torch.amp.GradScaler, outputs: Any) -> Any:
        if self.is_enabled():
            raise InputError(
                f"the closure scales its loss by a GradScaler (factor {self.get_scale():g}), which divides the damping "
                f"by that factor: {_REMEDY}"
            )
        return scale(self, outputs)

    with patch.object(torch.amp.GradScaler, "scale", checked):
        yield
