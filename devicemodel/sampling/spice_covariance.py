"""`SpiceCovarianceDevice`: as `CovarianceDevice`, with the circuit in ngspice."""

from __future__ import annotations

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.technology import Technology
from ...compiler.program import AnalogProgram
from .covariance_device import CovarianceDevice
from .voltage_paths import SpicePath, VoltagePath


class SpiceCovarianceDevice(CovarianceDevice):
    """A device that samples what ngspice simulates.

    Args:
        technology, die, noise_density, interval, seed: of `CovarianceDevice`; its samplers have no bandwidth.
        timeout: seconds that one simulation may take.

    Raises:
        InputError: as `CovarianceDevice`; a sampler of finite bandwidth.
        SimulationError: ngspice failed, was killed or ran out of time.
    """

    def __init__(
        self,
        technology: Technology | str,
        die: int | None = None,
        noise_density: float | None = None,
        interval: float | None = None,
        seed: int = 0,
        timeout: float = 300.0,
    ) -> None:
        super().__init__(technology, die, noise_density, interval, seed)
        if np.isfinite(self.technology.adc.bandwidth):
            raise InputError("adc.bandwidth is finite: in ngspice samplers have none here; use CovarianceDevice")
        if not timeout > 0:
            raise InputError(f"timeout is {timeout!r}: give seconds > 0")
        self.timeout = timeout

    def _voltage_path(self, program: AnalogProgram, density: np.ndarray, spacing: float, seed: int) -> VoltagePath:
        return SpicePath(program, density, spacing, seed, self.timeout)
