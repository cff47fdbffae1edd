"""`AnalogTile`: the resistor array as a matrix-vector multiplier, y = W x through DAC, conductances, thermal noise and ADC.

    volts    v_j = gain quantise(x_j V / input_range) + offset_j                         DAC of full scale V
    currents i_m = sum_j (G+_mj - G-_mj) v_j,        G = |w| / (w_max R_unit) exp(-mismatch z - shift) / drift, quantised to codes
    output   u_m = R_f i_m + noise,                  <noise^2> = 2 k T (sum_j (G+ + G-)_mj + 1 / R_f) R_f^2 / T_int
    reading  y_m = quantise(gain u_m + offset_m + ADC noise) in problem units            ADC of full scale U = output_range

A weight is a pair of conductances, of which one is programmed; each row is a virtual ground with a feedback resistor R_f, which makes
`output_range` the ADC's full scale. Parts are the die's, as in the arrays that solve (rails of the `coupling` deviates are the two of a
pair). Johnson noise of two-sided density 2 k T G is averaged over the integration time T_int. All that is linear is folded into one matrix
and one vector, so that a product costs what its converters cost.

Gradients are those of the codes: a converter with bits has steps, whose derivative is zero, so that nothing comes back to x through a tile
whose DAC or ADC has bits (bits of none let the clipped straight line through). To train through a tile, put a straight-through estimate
around it: x' + (tile(x) - x').detach() with x' = x W^T.

A saved state is one of conductances and converters. It says of which technology, die and ranges, and a tile made otherwise rejects it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.constants import Boltzmann
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...circuits.technology.parts import PROGRAMMING_ERRORS
from ...circuits.technology.presets import as_technology
from ...circuits.technology.technology import Technology
from ...compiler.passes.quantise import nearest
from ..host.converters import step_of


class AnalogTile(torch.nn.Module):
    """One array on one die, as a torch module.

    Args:
        weight: W, (out, in).
        technology: parts and converters; a preset's name is taken, too. Its converters must be without inl and dnl.
        die: seed of the die; None: nominal parts.
        input_range: |x| at the DAC's full scale. output_range: |y| at the ADC's.
        integration: T_int, s.
        dtype: of the arithmetic.

    Raises:
        InputError: a weight that is no matrix of finite numbers, or all zero; a range or time that is not > 0; converters with inl or
            dnl, a DAC with an attenuator; a technology of two slices, or of programming errors.
    """

    matrix: Tensor
    bias: Tensor
    noise: Tensor

    def __init__(
        self,
        weight: Tensor,
        technology: Technology | str,
        die: int | None = None,
        input_range: float = 1.0,
        output_range: float = 1.0,
        integration: float = 1e-6,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        board = as_technology(technology)
        if not isinstance(weight, Tensor):
            raise InputError(f"weight is a {type(weight).__name__}: give a tensor (out, in) of finite numbers")
        values = weight.detach().cpu().double().numpy()
        if values.ndim != 2 or not np.isfinite(values).all() or not values.any():
            raise InputError(
                f"weight has shape {tuple(weight.shape)}; a matrix (out, in) of finite numbers, not all zero, is needed"
            )
        for name, number in (
            ("input_range", input_range),
            ("output_range", output_range),
            ("integration", integration),
        ):
            if not (math.isfinite(number) and number > 0):
                raise InputError(f"{name} = {number!r}: a finite value > 0 is needed")
        if board.dac.attenuations > 1:
            raise InputError("a tile's DAC has no attenuator: set dac.attenuations to 1")
        if any((board.dac.inl, board.dac.dnl, board.adc.inl, board.adc.dnl)):
            raise InputError("a tile's converters have no inl and dnl: set those of dac and adc to 0")
        if board.resistors.series is not None:
            raise InputError("a tile's conductances are programmed: set resistors.series to none")
        for name in PROGRAMMING_ERRORS:
            if value := getattr(board.resistors, name):
                raise InputError(f"resistors.{name} is {value:g}, which a tile does not model: set it to 0")
        if board.resistors.slices > 1:
            raise InputError("a tile's weights have one slice: set resistors.slices to 1")
        self.technology, self.die = board, Die(board, die)
        self._made = {
            "technology": board.model_dump_json(),
            "die": die,
            "input_range": float(input_range),
            "output_range": float(output_range),
            "integration": float(integration),
        }
        self._dac_step = step_of(board.dac)
        self._adc_step = step_of(board.adc)
        rows, columns = values.shape
        largest = float(np.abs(values).max())
        pairs = self._conductances(values / largest)
        # Ohm: full scale at the ADC for output_range of W x with x at input_range.
        feedback = (
            board.resistors.unit * board.adc.full_scale * largest * input_range / (board.dac.full_scale * output_range)
        )
        gain = 1.0 + board.dac.gain_error * self.die.deviates("dac_gain", (1, 1))[0, 0]
        gain = gain * (1.0 + board.dac.gain_mismatch * self.die.deviates("dac_channel_gain", (1, columns))[0])
        offsets = board.dac.offset * self.die.deviates("dac_offset", (1, columns))[0]
        reading = 1.0 + board.adc.gain_error * self.die.deviates("adc_gain", (1, 1))[0, 0]
        reading = reading * (1.0 + board.adc.gain_mismatch * self.die.deviates("adc_channel_gain", (1, rows))[0])
        signed, total = pairs[0] - pairs[1], (pairs[0] + pairs[1]).sum(axis=1)
        kelvin = board.thermal.ambient if board.thermal.johnson_noise else 0.0
        johnson = 2 * Boltzmann * kelvin * (total + 1 / feedback) * feedback**2 / integration
        volts = feedback * reading[:, None] * signed
        bias = volts @ offsets + board.adc.offset * self.die.deviates("adc_offset", (1, rows))[0]
        noise = np.sqrt(johnson * reading**2 + board.adc.noise**2)
        # In steps of the converters where they have them, else in volts.
        into, out = self._dac_step or 1.0, self._adc_step or 1.0
        self._into, self._out = board.dac.full_scale / input_range / into, out * output_range / board.adc.full_scale
        self._dac_end, self._adc_end = board.dac.full_scale / into, board.adc.full_scale / out
        # A converter's codes lie half a step off whole numbers; that half is part of the bias.
        half = 0.5 if self._dac_step else 0.0
        for name, array in (
            ("matrix", volts * gain * into / out),
            ("bias", (bias + half * into * (volts @ gain)) / out),
            ("noise", noise / out),
        ):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)).to(dtype))
        self.noisy = bool(noise.any())

    def _conductances(self, share: np.ndarray) -> np.ndarray:
        """(2, out, in) S of the two parts of each weight."""
        resistors, (rows, columns) = self.technology.resistors, share.shape
        nominal = np.abs(share) / resistors.unit
        if resistors.bits is not None:
            nominal = nearest(nominal, resistors)
        place = ((np.arange(rows) + 0.5) / rows)[:, None], ((np.arange(columns) + 0.5) / columns)[None, :]
        drift = self.die.temperature_factor(self.die.temperature_of(*place))
        spread = np.exp(
            -resistors.mismatch * self.die.deviates("coupling", (2, rows, columns)) - self.die.resistor_shift(*place)
        )
        return np.asarray(np.stack([nominal * (share > 0), nominal * (share < 0)]) * spread / drift)

    def get_extra_state(self) -> dict[str, Any]:
        """What the tile was made with, without which the numbers of a state mean nothing."""
        return dict(self._made)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Nothing is left to take: `load_state_dict` takes states of tiles that were made alike, alone."""

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        # Before anything is copied: torch looks at the extra state last.
        self._require_same(state_dict.get(f"{prefix}_extra_state"), prefix)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def _require_same(self, saved: Any, prefix: str) -> None:
        """InputError for the state of a tile that was made with anything else."""
        if not isinstance(saved, dict) or saved.keys() != self._made.keys():
            raise InputError(
                f"the state {prefix}* of a tile does not say what it was made with: give what state_dict() of an AnalogTile returned"
            )
        for name, own in self._made.items():
            if saved[name] == own:
                continue
            given = "another one" if name == "technology" else f"{saved[name]!r}, not {own!r}"
            raise InputError(
                f"the state is of a tile whose {name} is {given}; its conductances and converters mean other products there: make "
                f"AnalogTile(..., {name}=...) as that one, or programme the weights anew by AnalogTile(weight, ...)"
            )

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """y, (..., out), of x, (..., in), in problem units.

        Args:
            x: beyond `input_range` the DAC clips. generator: of the noise; None: torch's own.

        Raises:
            InputError: x of another width.
        """
        if not isinstance(x, Tensor) or x.dim() < 1 or x.shape[-1] != self.matrix.shape[1]:
            got = f"of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise InputError(f"x is {got}: the tile takes a tensor (..., {self.matrix.shape[1]})")
        codes = self._converted(x.to(self.matrix.dtype) * self._into, self._dac_end, self._dac_step)
        u = torch.nn.functional.linear(codes, self.matrix, self.bias)
        if self.noisy:
            u = u.addcmul_(torch.randn(u.shape, generator=generator, dtype=u.dtype, device=u.device), self.noise)
        read = self._converted(u, self._adc_end, self._adc_step)
        return read.mul_(self._out) if not self._adc_step else read.add_(0.5).mul_(self._out)

    @staticmethod
    def _converted(values: Tensor, end: float, step: float) -> Tensor:
        """Codes below their middle, between -end - 1/2 and end - 1/2; without steps the clipped values."""
        if not step:
            return values.clamp(-end, end)
        return values.sub(0.5).round_().clamp_(-end - 0.5, end - 0.5)
