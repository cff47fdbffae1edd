"""Parameters that a residual takes from around it, such as an unknown coefficient beside the network.

torch.func differentiates in a function's arguments. Parameters of the model become arguments by functional_call; one that a function has
captured is a constant to it. Here every torch function gets the argument in the place of the captured parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode


class Captured(TorchFunctionMode):
    """Context manager in which torch functions see other tensors in the place of some.

    Args:
        values: what stands for a tensor, by the tensor's id.

    Attributes:
        used: ids of the tensors that a function was called with.
    """

    def __init__(self, values: Mapping[int, Tensor]) -> None:
        super().__init__()
        self._values, self.used = values, set[int]()

    def _replaced(self, one: Any) -> Any:
        if isinstance(one, Tensor):
            if id(one) not in self._values:
                return one
            self.used.add(id(one))
            return self._values[id(one)]
        return type(one)(self._replaced(part) for part in one) if type(one) in (list, tuple) else one

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = {name: self._replaced(one) for name, one in (kwargs or {}).items()}
        return func(*[self._replaced(one) for one in args], **given)
