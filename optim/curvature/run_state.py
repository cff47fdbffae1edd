"""The state that a run of a model moves, generators and buffers, so that it can be run again as it was.

A loss at changed parameters is comparable only with the same dropout masks, the same drawn batch and the same start of power iterations;
and it must not move running statistics once more.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

Result = TypeVar("Result")


class Generators:
    """The states of the global random generators of torch, Python and numpy, when it was made."""

    def __init__(self) -> None:
        self._torch = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        self._python = random.getstate()
        self._numpy: Any = np.random.get_state()  # noqa: NPY002 (a model's own draws, not ours)

    @property
    def moved(self) -> bool:
        """Whether one of the CPU's has moved on."""
        now: Any = np.random.get_state()  # noqa: NPY002
        return (
            not torch.equal(torch.get_rng_state(), self._torch)
            or random.getstate() != self._python
            or now[2] != self._numpy[2]
            or not np.array_equal(now[1], self._numpy[1])
        )

    def restore(self) -> None:
        """Set them back."""
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002


class RunState:
    """Generators and buffers before a run. Buffers are added as their modules come up, before they run."""

    def __init__(self) -> None:
        self._generators = Generators()
        self._buffers: dict[tuple[int, str], _Buffer] = {}

    def add_buffers_of(self, root: nn.Module) -> None:
        """Keep the buffers of a module and of the modules inside that are not kept yet."""
        for module in root.modules():
            for name, tensor in module._buffers.items():
                if tensor is not None and (id(module), name) not in self._buffers:
                    self._buffers[id(module), name] = _Buffer(module, name)

    def repeating(self, closure: Callable[[], Result]) -> Callable[[], Result]:
        """The closure, which starts from the state before the run and leaves all as it was when called."""

        def repeated() -> Result:
            with self._restored():
                return closure()

        return repeated

    @contextlib.contextmanager
    def _restored(self) -> Iterator[None]:
        before = list(self._buffers.values())
        now = [_Buffer(one.module, one.name) for one in before]
        generators = Generators()
        tensors = {id(one.tensor): one.tensor for one in [*before, *now]}
        with torch.autograd._unsafe_preserve_version_counter(
            tuple(tensors.values())
        ):  # graphs of the first run stay valid
            try:
                for one in before:
                    one.restore()
                self._generators.restore()
                yield
            finally:
                generators.restore()
                for one in now:
                    one.restore()


class _Buffer:
    """A buffer and its values when this was made."""

    def __init__(self, module: nn.Module, name: str) -> None:
        tensor = module._buffers[name]
        assert tensor is not None
        self.module, self.name, self.tensor = module, name, tensor
        self._values = tensor.detach().clone()

    def restore(self) -> None:
        """Put the tensor and its values back, also where a run has put another tensor in its place."""
        self.module._buffers[self.name] = self.tensor
        with torch.no_grad():
            self.tensor.copy_(self._values)
