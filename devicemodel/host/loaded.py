"""`Loaded`: a system as the host holds it, and the matrix that it programs for it; drives and readings from one to the other.

    A -> D A D, of unit diagonal -> what deflation leaves of it, of unit diagonal again -> the device

Nothing here solves a system.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...compiler.linear_system import LinearSystem
from ..device import Device, DeviceBatch, order_of, stretched
from ..implicit_gram import ImplicitGram
from ..systems import Dense, Implicit, Kronecker, LowRank, eigenvalue_floor
from .deflation import Deflation
from .iterations import Product

WRITTEN_OUT = 4096
"""Most unknowns of a system given by factors that is written out, to be equilibrated."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A system and its program.

    Attributes:
        kind: type of the system. product: x -> A x of the system, float64. floor: no eigenvalue of A is below it; None: not known.
        programmed: on the device, for `stretch` times the duration (`device.stretched`).
        scaling: D, (n,); None: ones. deflation: of D A D; None: there is none. rest_scaling: D' of what deflation leaves; None: ones.
    """

    kind: type
    product: Product
    floor: float | None
    programmed: LinearSystem
    stretch: float
    scaling: Tensor | None
    deflation: Deflation | None = None
    rest_scaling: Tensor | None = None

    def serves(self, system: LinearSystem) -> bool:
        """Whether the program can be used for another system: one of the same kind and size."""
        return self.kind is type(system) and system.size == self.programmed.size

    def for_system(self, system: LinearSystem) -> Loaded:
        """The same program, for the residuals of another system."""
        return dataclasses.replace(self, product=product_with(system), floor=eigenvalue_floor(system))

    @property
    def equilibrated(self) -> bool:
        """Whether the matrix was programmed with a unit diagonal."""
        return self.scaling is not None

    def drive(self, r: Tensor) -> Tensor:
        """Of the programmed matrix, for a residual r of the system, (n,) float64."""
        scaled = _times(self.scaling, r)
        return scaled if self.deflation is None else _times(self.rest_scaling, self.deflation.remainder(scaled))

    def start(self, x: Tensor) -> Tensor:
        """State of the programmed cells for a state x of the system's, (n,) float64."""
        return _over(_over(x, self.scaling), self.rest_scaling)

    def answer(self, r: Tensor, reading: Tensor) -> Tensor:
        """What of x the reading of `drive(r)` says, (n,) float64."""
        if self.deflation is not None:
            reading = self.deflation.composed(_times(self.scaling, r), _times(self.rest_scaling, reading))
        return _times(self.scaling, reading)

    @property
    def products_of_loading(self) -> int:
        """With A, or as many multiply-adds, that went into the program."""
        return 0 if self.deflation is None else self.deflation.products

    def products(self, readings: int) -> int:
        """With A, or as many multiply-adds, that `readings` answers take: 4 n m each, rounded up."""
        if self.deflation is None:
            return 0
        n, m = self.deflation.vectors.shape
        return math.ceil(readings * 4 * m / n)


def load(
    system: LinearSystem, device: Device | DeviceBatch, equilibrate: bool, added_damping: float, deflation: int
) -> Loaded:
    """What the host programs for a system; see `refine.Refined` for the arguments.

    Raises:
        InputError: added_damping with a system of an unknown kind; deflation of a system that is not written out, or of too few unknowns.
    """
    floor, product, order = eigenvalue_floor(system), product_with(system), order_of(device)
    written = _written_out(system, device)
    if deflation and not (written and 0 < deflation < system.size):
        raise InputError(
            f"deflation is {deflation} with a {type(system).__name__} of {system.size} unknowns: give fewer vectors than unknowns, and a "
            f"system of at most {WRITTEN_OUT} that can be written out on a device that takes a Dense; or deflation=0"
        )
    scaling = _unit_diagonal(system.diagonal()) if equilibrate and written else None
    if scaling is None and not deflation:
        return Loaded(type(system), product, floor, damped(system, added_damping), 1.0, None)
    dense = system.dense().detach().double()
    # Symmetric to the rounding of its own type is not so to that of double precision.
    matrix, largest = (dense + dense.mT) / 2, 1.0
    if scaling is not None:
        matrix, largest = matrix * torch.outer(scaling, scaling), 1 / float(scaling.min()) ** 2
    lowest = (floor or 0.0) / largest
    if not deflation:
        programmed = damped(Dense(matrix, floor=lowest), added_damping)
        return Loaded(type(system), product, floor, programmed, stretched(1.0, largest, order), scaling)
    taken = Deflation.of(matrix, deflation)
    rest, lowest = taken.rest, min(lowest, max(0.0, taken.replaced))
    inner = _unit_diagonal(rest.diagonal()) if equilibrate else None
    if inner is not None:
        rest, lowest = rest * torch.outer(inner, inner), lowest * float(inner.min()) ** 2
        # The rest has no slower mode in this many of its own units than A has in one of its.
        largest = 1 / float((inner if scaling is None else inner * scaling).min()) ** 2
    programmed = damped(Dense(rest, floor=lowest), added_damping)
    stretch = stretched(1.0, largest, order)
    return Loaded(type(system), product, floor, programmed, stretch, scaling, taken, inner)


def product_with(system: LinearSystem) -> Product:
    """x -> A x in double precision, of the numbers that the system holds; of other kinds in the system's own."""
    if isinstance(system, Dense):
        A = system.A.detach().double()
        return lambda x: A @ x
    if isinstance(system, LowRank):
        J, H, damping = system.J.detach().double(), system.H, system.damping
        middle = None if H is None else H.detach().double()
        return lambda x: J.mT @ (J @ x if middle is None else middle @ (J @ x)) + damping * x
    if isinstance(system, Kronecker):
        left, right = system.A.detach().double(), system.B.detach().double()
        shape, damping = (len(left), len(right)), system.damping
        return lambda x: (left @ x.reshape(shape) @ right).flatten() + damping * x
    dtype: torch.dtype = getattr(system, "dtype", torch.float64)
    return lambda x: system.matvec(x.to(dtype)).double()


def _written_out(system: LinearSystem, device: Device | DeviceBatch) -> bool:
    """Whether the device can be programmed with the system's matrix, entry by entry."""
    if isinstance(system, Implicit | ImplicitGram):
        return False
    small = isinstance(system, Dense) or system.size <= WRITTEN_OUT
    return small and device.accepts(Dense(torch.eye(1, dtype=torch.float64)))


def _unit_diagonal(diagonal: Tensor) -> Tensor | None:
    """D, (n,) float64, with which D A D has a diagonal of ones; None for one that is not positive."""
    values: Tensor = diagonal.detach().double()
    return values.rsqrt() if float(values.min()) > 0 else None


def damped(system: LinearSystem, more: float) -> LinearSystem:
    """A + more I, of the same kind. InputError for a kind of unknown records."""
    if more == 0:
        return system
    if isinstance(system, Dense):
        A = system.A.clone()
        A.diagonal().add_(more)
        return Dense(A, floor=system.floor + more if system.floor > 0 else 0.0)
    if isinstance(system, LowRank | Kronecker | Implicit | ImplicitGram):
        return dataclasses.replace(system, damping=system.damping + more)
    raise InputError(f"more damping for a {type(system).__name__}: give Dense(system.dense())")


def _times(scaling: Tensor | None, x: Tensor) -> Tensor:
    return x if scaling is None else scaling * x


def _over(x: Tensor, scaling: Tensor | None) -> Tensor:
    return x if scaling is None else x / scaling
