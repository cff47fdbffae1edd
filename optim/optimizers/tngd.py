"""Thermodynamic natural gradient descent: the device relaxes towards the natural gradient, and is read on the way.

Why k cells are enough. The paper's device has N cells, dx/dt = -((G + lambda I) x - g), x(0) = g. With G = J^T L L^T J
and g = J^T L s, let u follow the dual flow of k = b m cells

    du/dt = -((lambda I + K) u - s),   u(0) = s,   K = L^T J J^T L.

Then x(t) = J^T L u(t) at every t: it holds at t = 0, J^T L s = g; and J^T L du/dt = -(lambda J^T L u + J^T L L^T J J^T
L u - J^T L s) = -((lambda I + G) x - g), the flow of x, whose solution is unique. So t = 0 gives the gradient (SGD), t
= inf the exact natural gradient (lambda I + G)^-1 g, and in between the same path, from a matrix whose size does not
grow with the network. Coupled oscillators follow the same path of another kind in both systems,

    x'' + gamma x' + (G + lambda I) x = g,   x(0) = g, x'(0) = 0:      x(t) = g + t^2 / 2 (g - (G + lambda I) g) + ...

with u(0) = s, u'(0) = 0, so that t = 0 is SGD there, too (from x = x' = 0 the first step has no length). The noise
differs: the dual device's reaches the parameters through J^T L, the primal one's is white over parameters.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...compiler.linear_system import LinearSystem
from ...devicemodel.checks import check_duration
from ...devicemodel.device import Device, Outcome, order_of
from ...devicemodel.device_like import DeviceLike
from ...devicemodel.devices.ideal import IdealDevice
from ...devicemodel.host.kronecker_columns import factored_damping
from ...devicemodel.host.refine import Refined, settles, settling
from ...devicemodel.implicit_gram import ImplicitGram
from ...devicemodel.ou.product_law import LARGE
from ...devicemodel.systems import Dense, Implicit, LowRank
from ..curvature.batch import all_finite
from ..curvature.curvature import CurvatureKind
from ..curvature.factor import Factor, FlatFactor
from ..curvature.kronecker import KroneckerBlock, kronecker_blocks
from .base import NaturalGradient
from .config import BETAS, EPS, NaturalGradientConfig, Update
from .damping import Damping
from .options.path import Taken
from .options.redirected import RedirectedFactor
from .readings.arguments import (
    EMA_DECAY,
    FACTORED,
    READ_INTERVAL,
    SYSTEMS,
    check_old_curvature,
    check_system,
    checked_readings,
    devices_of,
)
from .readings.dual_remainder import check_settled, read_with
from .readings.old_curvature import OldCurvature
from .readings.readers import Readers, arrays, one_device
from .readings.reading import ROUNDS, TOLERANCE, Answer, as_it_is, averaged, direction_of, refined
from .step import Direction, Spent, usable

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Systems: TypeAlias = Callable[[float], LinearSystem]
"""The system with a damping."""


class TNGD(NaturalGradient):
    """Thermodynamic natural gradient descent: theta <- theta - lr x(t), with x(t) read from an analog device (arXiv 2405.13817).

    Args:
        params, lr, damping: of `NaturalGradient`; the options after * of `NaturalGradientConfig`. update="adam" is TNGD-Adam.
        duration: of the run before the reading, t >= 0 in tau; 0 is SGD, math.inf the exact natural gradient. Oscillators that are read in
            mid swing ascend in steep modes (docs/optimizer.md).
        delay_time: of the run between a reading and the next upload, with the old matrix and drive, in tau. It acts through the state that
            is carried on, so that it needs reset=False and the primal system.
        reset: True starts each run at the gradient; False goes on from the state the device is in (the first run, and
            the one after a skipped step or a clipped reading, start at the gradient). False needs the primal system: the dual cells stand
            for the outputs of a batch, so a state carried to the next batch would mean nothing.
        reads: number of readings that are averaged, the first at t.
        read_interval: time between readings, in tau, > 0; for reads > 1 only.
        device: any `Device`, or a card of one (`as_device`); None: `IdealDevice()`. For system="kfac" also a sequence of them, two for each
            layer, for its outputs' and its inputs' factor: arrays that keep their programs, where one device holds all factors in turn.
        system: "dual" programs k cells, "primal" the paper's N cells with the low-rank factors, "kronecker" one layer after another
            with the two factors of its block in a cascade, "kfac" with one factor after the other on an array as wide as it, column by
            column (`KroneckerColumns`; thermodynamic K-FAC, arXiv 2502.08603); a layer without factors is read as one system.
        ema_decay: of the Kronecker factors' exponential moving averages, in [0, 1); for "kronecker" and "kfac" only.
        reading: "bare" takes each reading as the device gives it; "refined" corrects it by its residual (`devicemodel.host.refine`),
            to |b - A x| <= 1e-2 |b|. "auto", the default, refines where `duration` is at least the settling time that the damping predicts,
            5 / lambda, or 7.1 / sqrt(lambda) of coupled oscillators, and one reading is taken of a run from the start: below, a finite time
            is meant as the path from SGD to NGD. `last.reading` records which. Give a `Refined` as the device for other rounds, tolerance
            or method: its readings are refined whatever the duration is.
        factored_damping: for system="kfac" only. True: each factor has its own damping, the system of `KFAC(factored_damping=True)`, both
            with eigenvalues from sqrt(lambda) on, so that "auto" refines as from that damping on. False: that of `KFAC()`, to which
            readings with factored damping are refined by products with the factors, by flexible conjugate gradients ("fcg").
        program_every: m: devices are programmed at every m-th step, and read in between with the program that they have, refined by the
            residuals of the step's own system (`Refined`, which takes it as well); what does not converge so is programmed. For refined
            readings of what changes slowly: system="primal", or "kfac" with a sequence of devices. Dual cells stand for the outputs of
            one batch, and layers that take turns on one device leave no program there. A resumed run programs at its first step.
        curvature_age, curvature_every: a, m: the curvature is that of the latest of the steps 0, m, 2 m, ... that is at least a steps ago,
            the gradient that of the step: asynchrony as published, which lets host, link and array work at the same time
            (`devicemodel.cost.schedule`). For system="primal"; a resumed run begins anew with them.

    A refined reading that does not converge is tried again with 4 and 16 times the damping; if that fails, too, the step is the gradient
    divided by the largest row sum of |A| (`last.retries`, `last.reading`). A bare step with a reading that the drive clipped is taken. One
    with a reading that does not depend on the drive (`Outcome.OFFSET_CLIPPED`) or with none (unstable, not finite) is skipped;
    `last.outcome` records it, and `LevenbergMarquardt` raises the damping. `state_dict` holds the device's state, so that a resumed run is
    bit-exact.

    Raises:
        InputError: arguments out of range, incompatible or without effect; in `step`, as `Curvature` and `Device.solve`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        damping: Damping = 0.01,
        duration: float = 50.0,
        delay_time: float = 0.0,
        reset: bool = True,
        reads: int = 1,
        read_interval: float = READ_INTERVAL,
        device: Device | DeviceLike | Sequence[Device | DeviceLike] | None = None,
        system: Literal["dual", "primal", "kronecker", "kfac"] = "dual",
        ema_decay: float = EMA_DECAY,
        reading: Literal["auto", "refined", "bare"] = "auto",
        factored_damping: bool = True,
        program_every: int = 1,
        curvature_age: int = 0,
        curvature_every: int = 1,
        *,
        curvature: CurvatureKind = "ggn",
        mc_samples: int = 1,
        seed: int = 0,
        update: Update = "sgd",
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = BETAS,
        eps: float = EPS,
        clip: float | None = None,
        process_group: ProcessGroup | None = None,
        line_search: bool = False,
        spring: float = 0.0,
        geodesic: float | None = None,
    ) -> None:
        duration = check_duration(duration)
        device = devices_of(device)
        plan = checked_readings(
            duration, delay_time, reset, reads, read_interval, device, system, reading, factored_damping, program_every
        )
        check_system(system, ema_decay, reset, spring, geodesic, plan.program_every)
        check_old_curvature(curvature_age, curvature_every, system, geodesic, plan.program_every)
        config = NaturalGradientConfig(
            curvature, mc_samples, seed, update, momentum, weight_decay, betas, eps, clip, process_group,
            line_search, spring, geodesic,
        )  # fmt: skip
        super().__init__(params, lr, damping, config)
        self.duration, self.delay_time, self.reset = duration, float(delay_time), reset
        self.reads, self.read_interval = reads, float(read_interval)
        self.system, self.ema_decay = system, float(ema_decay)
        self._devices = list(device) if isinstance(device, list | tuple) else [cast("Device", device or IdealDevice())]
        self.device = self._devices[0]
        self.reading, self.program_every = plan.reading, plan.program_every
        self.factored_damping = factored_damping
        self.curvature_age, self.curvature_every = curvature_age, curvature_every
        self._old = self._new_old()
        self._readers = self._new_readers()
        self._settled = False
        self._carried = False  # whether the device holds a state of the run so far
        self._held: tuple[Factor, Systems] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's own state, and the device's."""
        states = [one.state_dict() for one in self._devices]
        held = states if len(states) > 1 else states[0]
        return {**super().state_dict(), "device": held, "carried": self._carried}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state, device included. InputError for the state of another optimizer."""
        super().load_state_dict(state_dict)
        held = state_dict["device"]
        states = held if isinstance(held, list) else [held]
        if len(states) != len(self._devices):
            raise InputError(f"the state is that of {len(states)} devices, and the optimizer has {len(self._devices)}")
        for one, state in zip(self._devices, states, strict=True):
            one.load_state_dict(state)
        # Programs are no part of a state.
        self._readers, self._old = self._new_readers(), self._new_old()
        self._carried = bool(state_dict["carried"])

    @property
    def keeps_programs(self) -> bool:
        """Whether a step depends on earlier ones by more than its state: on programs, or on their curvature."""
        return self.program_every > 1 or self.curvature_age > 0 or self.curvature_every > 1

    @property
    def forms_curvature(self) -> bool:
        """Whether the latest step formed a curvature."""
        return self._old.fresh

    def _new_old(self) -> OldCurvature[Systems]:
        return OldCurvature(self.curvature_age, self.curvature_every)

    def _new_readers(self) -> list[Readers]:
        if len(self._devices) > 1:
            return arrays(self._devices, self.program_every)
        given, every = self.device, self.program_every
        # Without noise there is nothing that a second reading, at -b, would take away.
        once = math.isinf(self.duration) and isinstance(given, IdealDevice) and given.kappa0 == 0
        new = functools.partial(Refined, rounds=ROUNDS, tolerance=TOLERANCE, chopped=not once, program_every=every)
        refining = given if isinstance(given, Refined) else new(given)
        return [one_device(given, refining, self.system == "kfac", self.factored_damping)]

    def _direction(self, factor: Factor, damping: float) -> Direction:
        solvers = {"dual": self._dual, "primal": self._primal}
        return solvers.get(self.system, self._by_layers)(factor, damping)

    def _keeps_sensitivities(self) -> bool:
        return self.system in FACTORED

    def _take(self, *step: Any) -> tuple[Direction, Taken]:
        try:
            return super()._take(*step)
        finally:
            self._held = None

    def __getstate__(self) -> dict[str, Any]:
        """As `NaturalGradient`, without the systems of a step that was not taken."""
        return {**super().__getstate__(), "_held": None}

    def _systems(self, factor: Factor, damping: float, of: Callable[[Factor, float], Systems | None]) -> Systems | None:
        """The system of a factor by its damping, None if it is not finite.

        The acceleration's is that of the step, the same object with another drive, so that the device keeps its program.
        """
        base = factor.factor if isinstance(factor, RedirectedFactor) else factor
        if self._held is not None and self._held[0] is base:
            return self._held[1]
        found = of(factor, damping)
        if found is not None and self.config.geodesic is not None:
            found = functools.cache(found)
            self._held = base, found
        return found

    def _dual(self, factor: Factor, damping: float) -> Direction:
        s, system_at = factor.sources, self._systems(factor, damping, self._dual_system)
        if system_at is None:
            return Direction(None, Outcome.NOT_FINITE, factor.cells)
        start, rest = Spent.now(), factor.remainder
        if rest is None:
            found = self._read(system_at, s, damping, s)
            x = factor.rmatvec(found.x) if found.applies else None
        else:
            check_settled(damping, math.isinf(self.duration) or self._refines(damping))
            x, found = read_with(factor, rest, damping, system_at, self._read)
        return direction_of(x, found, factor.cells, Spent.now().since(start))

    def _dual_system(self, factor: Factor, damping: float) -> Systems | None:
        """K with a damping, by its products where a law needs no entry of it; None if K is not finite."""
        single = factor.dtype == torch.float32 and factor.cells >= LARGE and not self._refines(damping)
        by_products = functools.partial(ImplicitGram, factor)
        if damping > 0 and (math.isinf(self.duration) or single) and self.device.accepts(by_products(damping)):
            return by_products
        A = factor.gram()
        if not all_finite(A):
            return None

        def system_at(value: float) -> LinearSystem:
            damped = A.clone()
            damped.diagonal().add_(value)
            return Dense(damped, floor=value)

        return system_at

    def _primal(self, factor: Factor, damping: float) -> Direction:
        gradient = factor.gradient()
        g = torch.cat([part.reshape(-1) for part in gradient])
        system_at = self._systems(factor, damping, self._primal_system)
        if system_at is None or not all_finite(g):
            return Direction(None, Outcome.NOT_FINITE, g.numel())
        system_at = self._old.serve(system_at)
        start = Spent.now()
        fresh = self.reset or not self._carried
        found = self._read(system_at, g, damping, g if fresh else None)
        self._carried = found.outcome.readable and not found.outcome.clipped
        if self.delay_time > 0 and usable(found.outcome):
            late = self.device.evolve(self.delay_time)
            found = dataclasses.replace(
                found, seconds=found.seconds + late.seconds, attempts=found.attempts + late.attempts
            )
            self._carried = late.outcome.readable and not late.outcome.clipped
        spent = Spent.now().since(start)
        x: list[Tensor] | None = None
        if found.applies:
            pieces = found.x.split([part.numel() for part in gradient])
            x = [piece.reshape(part.shape) for piece, part in zip(pieces, gradient, strict=True)]
        return direction_of(x, found, g.numel(), spent)

    def _primal_system(self, factor: Factor, damping: float) -> Systems | None:
        """C with a damping, by its products or by its factors; None if they are not finite."""
        products = FlatFactor(factor)
        if damping > 0 and self.device.accepts(Implicit(products, damping)):
            return functools.partial(Implicit, products) if all_finite(products.gram()) else None
        J = factor.jacobian()
        return functools.partial(LowRank, J, None) if all_finite(J) else None

    def _by_layers(self, factor: Factor, damping: float) -> Direction:
        """Solve the blocks' systems one after another on the same device, which is reset for each."""
        gradient = factor.gradient()
        blocks = kronecker_blocks(factor, self.state, self.ema_decay) if all_finite(*gradient) else None
        if blocks is None:
            return Direction(None, Outcome.NOT_FINITE, 0)
        found = [torch.zeros_like(part) for part in gradient]
        total, cells, spent = Answer(torch.zeros(0), Outcome.OK, 0.0, 0), 0, Spent()
        if len(self._devices) > 1 and len(self._readers) != len(blocks):
            raise InputError(
                f"device is a sequence of {len(self._devices)}, and the model has {len(blocks)} layers: give {2 * len(blocks)}, two for "
                "each"
            )
        for k, block in enumerate(blocks):
            readers = self._readers[k % len(self._readers)]
            g = block.gather(gradient)
            start = Spent.now()
            if self.system == "kfac" and isinstance(block, KroneckerBlock):
                total = self._read_columns(block, g, damping, readers).after(total)
            else:
                total = self._read(block.system, g, damping, g, readers).after(total)
            spent, cells = spent.and_also(Spent.now().since(start)), cells + len(g)
            if not total.applies:
                return direction_of(None, total, cells, spent)
            block.scatter(total.x, found)
        return direction_of(found, total, cells, spent)

    def _read_columns(self, block: KroneckerBlock, g: Tensor, damping: float, readers: Readers) -> Answer:
        """A layer's reading by its factors."""
        columns = readers.columns
        assert columns is not None

        def system_at(value: float) -> LinearSystem:
            system = block.system(value)
            return factored_damping(system) if self.factored_damping else system

        if self._refines(damping):
            before = columns.programmed.programmings
            found = refined(columns.refined, system_at, g, damping, self.duration)
            if self.factored_damping:
                return found
            return dataclasses.replace(found, programmings=columns.programmed.programmings - before)
        return as_it_is(columns.bare.solve(system_at(damping), g, self.duration, x0=g))

    def _refines(self, damping: float) -> bool:
        """Whether readings with this damping are refined; a warning where a damping that falls has ended it."""
        if self.reading != "auto":
            return self.reading == "refined"
        floor = math.sqrt(damping) if self.system == "kfac" else damping
        order = order_of(self.device)
        settled = settles(self.duration, floor, order)
        if not settled and self.program_every > 1 and self._steps == 0:
            raise InputError(
                f"program_every is {self.program_every}, but a run of {self.duration:g} tau does not settle at damping {damping:.3g}, and "
                'a bare reading has no residual to correct it: give reading="refined", a longer duration, or leave program_every out'
            )
        if self._settled and not settled:
            warnings.warn(
                f"at damping {damping:.3g} a run of {self.duration:g} tau does not settle any more, and readings are bare from now on: "
                f'give reading="refined", or duration={settling(floor, order):.3g} at least for this damping',
                stacklevel=2,
            )
        self._settled = settled
        return settled

    def _read(
        self,
        system_at: Callable[[float], LinearSystem],
        b: Tensor,
        damping: float,
        x0: Tensor | None,
        readers: Readers | None = None,
    ) -> Answer:
        """A refined reading; or the mean of `reads` bare ones from x0, with the worst of their outcomes.

        Where a refined reading starts from does not matter; from zero, so that the start takes nothing of the range.
        """
        system, (device, refining, _) = system_at(damping), readers or self._readers[0]
        if not device.accepts(system):
            others = " or ".join(repr(name) for name in SYSTEMS if name != self.system)
            raise InputError(
                f"system={self.system!r} programs a {type(system).__name__}, which a {type(refining.device).__name__} does not "
                f"accept: give system={others}, or another device"
            )
        if self._refines(damping):
            return refined(refining, system_at, b, damping, self.duration)
        return averaged(device, system, b, self.duration, x0, self.reads, self.read_interval)
