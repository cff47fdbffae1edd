"""What a system is read with: the device as it is, refined, and column by column; one for all layers, or an array for each factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...circuits.errors import InputError
from ...devicemodel.device import Device, DeviceBatch
from ...devicemodel.host.kronecker_columns import KroneckerColumns
from ...devicemodel.host.refine import Refined
from .damping import check_count
from .reading import ROUNDS, TOLERANCE, Columns, by_columns


class Readers(NamedTuple):
    """Of one layer, or of the whole system. `columns` are None where no system is read by its factors."""

    device: Device
    refined: Refined[Device]
    columns: Columns | None = None


def one_device(device: Device, refining: Refined[Device], by_factors: bool, factored: bool) -> Readers:
    """For all layers in turn."""
    return Readers(device, refining, by_columns(device, refining, factored) if by_factors else None)


def arrays(devices: Sequence[Device], program_every: int) -> list[Readers]:
    """For each layer two arrays, which keep the programs of its factors: the first that of the outputs, or of the layer as a whole."""
    found = []
    for first, second in zip(devices[::2], devices[1::2], strict=True):
        one, two = (Refined(device, ROUNDS, TOLERANCE, program_every=program_every) for device in (first, second))
        columns = KroneckerColumns(one, second=two)
        found.append(Readers(first, one, Columns(KroneckerColumns(first, second=second), columns, columns)))
    return found


def check_device(device: Any, system: str, factored: bool) -> None:
    """InputError unless it is a device, or an even number of them for the factors of system="kfac"."""
    if not isinstance(device, list | tuple):
        _check_one("device", device)
        return
    if system != "kfac" or not factored:
        raise InputError(
            f'device is a sequence of {len(device)} with system="{system}", factored_damping={factored}: arrays for each factor are those '
            'of system="kfac" with factored damping; give one device'
        )
    for k, one in enumerate(device):
        _check_one(f"device[{k}]", one)
        if isinstance(one, Refined):
            raise InputError(f"device[{k}] is Refined: give the device that it refines")
        if (same := next(j for j, other in enumerate(device) if other is one)) < k:
            raise InputError(
                f"device[{k}] is device[{same}] once more: give each factor an array of its own, or one device for all in turn"
            )
    if not device or len(device) % 2:
        raise InputError(
            f"device is a sequence of {len(device)}: give two for each layer, for its outputs and its inputs"
        )


def check_program_every(value: int, device: Any, system: str, reading: str) -> int:
    """The option, checked, of TNGD or of the `Refined` that is its device. InputError where it would have no effect or no meaning."""
    check_count("program_every", value, "steps")
    wrapped = isinstance(device, Refined)
    if wrapped and value != 1:
        raise InputError(f"program_every is {value} with a Refined device: give it to Refined")
    kept = device.program_every if isinstance(device, Refined) else value
    if kept > 1 and system != "primal" and not isinstance(device, list | tuple):
        why = (
            "the dual cells stand for the outputs of one batch, and its program says nothing of the next one's"
            if system == "dual"
            else "layers take turns on one device, which holds one program"
        )
        raise InputError(
            f'program_every is {kept} with system="{system}": {why}; give system="primal", or system="kfac" with a sequence of devices, an '
            "array for each factor; or leave it out"
        )
    if kept > 1 and reading == "bare":
        raise InputError(
            f"program_every is {kept} with bare readings, which have no residual to correct them: leave it out"
        )
    return kept


def _check_one(name: str, device: Any) -> None:
    if isinstance(device, type) or not isinstance(device, Device):
        shown = device.__name__ if isinstance(device, type) else repr(device)
        raise InputError(f"{name} is {shown}: give a device, such as IdealDevice() or SurrogateDevice(card)")
    if isinstance(device, Refined) and isinstance(device.device, DeviceBatch):
        raise InputError(
            f"{name} refines a {type(device.device).__name__}, which has a solution for each die: give one device"
        )
