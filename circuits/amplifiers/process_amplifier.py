"""`process_amplifier`: the amplifier that this package has for a foundry's process, with the load that it is meant to have."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..technology.pdk.registry import process
from .user_netlist import Amplifier

LOAD_RESISTANCE, LOAD_CAPACITANCE = 27e3, 5e-13
"""At each output, ohm and F: a column of eight unknowns."""
COMMON_MODE = "ref"
"""The port that the mean of both outputs is compared with."""
_FOLDER = (
    Path(__file__).resolve().parents[2] / "examples" / "amplifiers"
)  # of the repository, and of an installed package


def process_netlist(name: str) -> Path:
    """File of the process's amplifier, shipped with the package.

    Raises:
        InputError: an unknown process; one without an amplifier.
    """
    path = _FOLDER / f"{process(name).name}.cir"
    if not path.is_file():
        raise InputError(
            f"process {name!r} has no amplifier here (looked for {path}); give a netlist and its ports: "
            f"characterise NETLIST --pdk {name} ..."
        )
    return path


def process_amplifier(name: str) -> Amplifier:
    """Fully differential, between 0 V and the process's supply, inputs and outputs at rest at half of it.

    Args:
        name: of the process, "gf180mcu" or "sky130".

    Raises:
        InputError: as `process_netlist`.
    """
    path, volts = process_netlist(name), process(name).supply
    supplies = {"vdd": volts, "vss": 0.0, COMMON_MODE: volts / 2}
    return Amplifier.read_spice(path, path.stem, ("inp", "inn"), ("outp", "outn"), supplies, volts / 2)
