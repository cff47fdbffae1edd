"""thermograd: from a curvature matrix to an analog circuit that computes natural-gradient steps.

The names below are the library's front door. They are loaded when first used, so that a tool that only
needs netlists does not wait for torch.

    >>> import thermograd
    >>> thermograd.compile_matrix([[2.0, 0.5], [0.5, 1.0]])
    >>> thermograd.TNGD(model.parameters(), lr=0.1, damping=0.01, duration=5.0)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .circuits.amplifiers.characterise import characterise
    from .circuits.errors import InputError, UnrealisableError
    from .circuits.netlist.netlist import Netlist
    from .circuits.technology.technology import Technology
    from .circuits.version import __version__
    from .compiler.compile import compile_matrix, compile_system
    from .compiler.ensemble import compile_ensemble
    from .compiler.program import AnalogProgram
    from .devicemodel.calibration.calibrate import calibrate
    from .devicemodel.calibration.measured.calibrate import calibrate_from_measurements
    from .devicemodel.card import DeviceCard
    from .devicemodel.cascade.device import FactoredDevice
    from .devicemodel.devices.die_batch import DieBatch
    from .devicemodel.devices.ideal import IdealDevice
    from .devicemodel.devices.spice import SpiceDevice
    from .devicemodel.devices.surrogate import SurrogateDevice
    from .devicemodel.devices.tile import AnalogTile
    from .devicemodel.host.readout import ReadOut
    from .devicemodel.systems import Dense, Kronecker, LowRank
    from .optim.optimizers.ngd import NGD
    from .optim.optimizers.tngd import TNGD


__all__ = [
    "NGD",
    "TNGD",
    "AnalogProgram",
    "AnalogTile",
    "Dense",
    "DeviceCard",
    "DieBatch",
    "FactoredDevice",
    "IdealDevice",
    "InputError",
    "Kronecker",
    "LowRank",
    "Netlist",
    "ReadOut",
    "SpiceDevice",
    "SurrogateDevice",
    "Technology",
    "UnrealisableError",
    "__version__",
    "calibrate",
    "calibrate_from_measurements",
    "characterise",
    "compile_ensemble",
    "compile_matrix",
    "compile_system",
]

_HOME = {
    "AnalogProgram": ".compiler.program",
    "AnalogTile": ".devicemodel.devices.tile",
    "Dense": ".devicemodel.systems",
    "DeviceCard": ".devicemodel.card",
    "DieBatch": ".devicemodel.devices.die_batch",
    "FactoredDevice": ".devicemodel.cascade.device",
    "IdealDevice": ".devicemodel.devices.ideal",
    "InputError": ".circuits.errors",
    "Kronecker": ".devicemodel.systems",
    "LowRank": ".devicemodel.systems",
    "NGD": ".optim.optimizers.ngd",
    "Netlist": ".circuits.netlist.netlist",
    "ReadOut": ".devicemodel.host.readout",
    "SpiceDevice": ".devicemodel.devices.spice",
    "SurrogateDevice": ".devicemodel.devices.surrogate",
    "TNGD": ".optim.optimizers.tngd",
    "Technology": ".circuits.technology.technology",
    "UnrealisableError": ".circuits.errors",
    "__version__": ".circuits.version",
    "calibrate": ".devicemodel.calibration.calibrate",
    "calibrate_from_measurements": ".devicemodel.calibration.measured.calibrate",
    "characterise": ".circuits.amplifiers.characterise",
    "compile_ensemble": ".compiler.ensemble",
    "compile_matrix": ".compiler.compile",
    "compile_system": ".compiler.compile",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use (PEP 562)."""
    value: Any
    if name in _HOME:
        value = getattr(import_module(_HOME[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    """List what is loaded and what can be."""
    return sorted({*globals(), *__all__})
