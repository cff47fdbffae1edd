"""The processes by name. Another one is a file beside these and a line here."""

from __future__ import annotations

from ...errors import InputError
from .gf180mcu import GF180MCU
from .process_record import Process
from .sky130 import SKY130

PROCESSES: dict[str, Process] = {known.name: known for known in (GF180MCU, SKY130)}
"""Name -> process, whether it is installed or not."""


def process(name: str) -> Process:
    """A process by name: `gf180mcu`, `sky130`.

    Raises:
        InputError: there is none of that name. Whether its models are installed, `Process.folder` and `Process.lines` say.
    """
    try:
        return PROCESSES[name]
    except (KeyError, TypeError):
        raise InputError(f"process {name!r} is unknown; there are: {', '.join(PROCESSES)}") from None
