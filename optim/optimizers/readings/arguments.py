"""What can be asked of TNGD's readings: arguments that exclude each other, and whether readings are refined."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ....circuits.errors import InputError
from ....devicemodel.device import Device, DeviceBatch
from ....devicemodel.device_like import as_device
from ....devicemodel.host.refine import Refined
from ..damping import check_count, check_number

EMA_DECAY, READ_INTERVAL = 0.95, 1.0
SYSTEMS, FACTORED = ("dual", "primal", "kronecker", "kfac"), ("kronecker", "kfac")
"""What can be programmed, and which of it by the layers' Kronecker factors."""


class ReadingPlan(NamedTuple):
    """How readings are taken.

    Attributes:
        reading: "refined", "bare", or "auto", which the damping decides.
        program_every: steps between programmings.
    """

    reading: str
    program_every: int


def checked_readings(
    duration: float,
    delay_time: float,
    reset: bool,
    reads: int,
    read_interval: float,
    device: Any,
    system: str,
    reading: str,
    factored_damping: bool,
    program_every: int,
) -> ReadingPlan:
    """The plan of the arguments of `TNGD`, with a duration that is checked.

    Raises:
        InputError: an argument out of range, incompatible with another, or without effect.
    """
    check_number("delay_time", delay_time, low=0.0)
    check_number("read_interval", read_interval, low=0.0, strict=True)
    check_count("reads", reads, "readings")
    if reads > 1 and math.isinf(duration):
        raise InputError(f"reads is {reads} with duration inf: give a finite duration to average over readings")
    if system not in SYSTEMS:
        raise InputError(f"system is {system!r}: give one of {', '.join(map(repr, SYSTEMS))}")
    if device is not None:
        check_device(device, system, factored_damping)
    if not isinstance(reset, bool):
        raise InputError(f"reset is {reset!r}: give True or False")
    if system != "primal" and not reset:
        raise InputError(
            'reset=False needs system="primal": the dual cells stand for the outputs of one batch, and a state '
            "carried to the next batch has no meaning there; with Kronecker factors one device serves layer after layer"
        )
    if delay_time > 0 and reset:
        raise InputError(
            f"delay_time is {delay_time} but the state is reset at each upload, so the delay has no effect: give "
            'reset=False and system="primal"'
        )
    if read_interval != READ_INTERVAL and reads == 1:
        raise InputError(f"read_interval is {read_interval}, but there is one reading: leave it out, or give reads > 1")
    wrapped = isinstance(device, Refined)
    if reading not in ("auto", "refined", "bare"):
        raise InputError(f'reading is {reading!r}: give "auto", "refined" or "bare"')
    if wrapped and reading == "bare":
        raise InputError(
            'reading is "bare" with a Refined device, whose readings are refined: give the device that it refines'
        )
    if not isinstance(factored_damping, bool):
        raise InputError(f"factored_damping is {factored_damping!r}: give True or False")
    if not factored_damping and (system != "kfac" or reading == "bare"):
        raise InputError(
            f'factored_damping=False with system="{system}" and reading="{reading}": it is for refined readings of system="kfac"'
        )
    if system == "kfac" and reads > 1:
        raise InputError(
            f'reads is {reads} with system="kfac", whose columns are run one after another: leave it out, or give the device a ReadOut'
        )
    whole = duration > 0 and reset and reads == 1  # (a delay needs reset=False)
    if (wrapped or reading == "refined" or not factored_damping) and not whole:
        raise InputError(
            f"refined readings with duration {duration}, reset={reset} and reads {reads}: correction runs overwrite the state, and "
            'correct what a settled run reads. Give duration > 0, reset=True and one reading, or reading="bare" and a device as it is'
        )
    every = check_program_every(program_every, device, system, reading if whole else "bare")
    always = wrapped or reading == "refined" or not factored_damping
    return ReadingPlan("refined" if always else reading if whole else "bare", every)


def check_system(
    system: str, ema_decay: float, reset: bool, spring: float, geodesic: float | None, program_every: int
) -> None:
    """InputError for options of the step that the programmed system excludes."""
    check_number("ema_decay", ema_decay, low=0.0, below=1.0)
    if ema_decay != EMA_DECAY and system not in FACTORED:
        raise InputError(
            f'ema_decay is {ema_decay} with system="{system}", which averages nothing: leave it out, or give "kronecker" or "kfac"'
        )
    if (spring or geodesic is not None) and (system in FACTORED or not reset):
        raise InputError(
            f'spring is {spring}, geodesic {geodesic} with system="{system}" and reset={reset}: both change the drive alone, '
            'and need system="dual" or "primal" and reset=True'
        )
    if geodesic is not None and program_every > 1:
        raise InputError(
            f"geodesic solves twice in a step, and program_every is {program_every}: leave one of them out"
        )


def check_old_curvature(age: int, every: int, system: str, geodesic: float | None, program_every: int) -> None:
    """InputError for a curvature of earlier steps where it has no meaning."""
    if not isinstance(age, int) or isinstance(age, bool) or age < 0:
        raise InputError(f"curvature_age is {age!r}: give a number of steps >= 0")
    check_count("curvature_every", every, "steps")
    if age == 0 and every == 1:
        return
    given = f"curvature_age is {age}, curvature_every {every}"
    if system != "primal":
        why = (
            "dual cells stand for the outputs of one batch"
            if system == "dual"
            else "factors are moving averages already"
        )
        raise InputError(f'{given} with system="{system}": {why}; give system="primal", or leave them out')
    if geodesic is not None or program_every > 1:
        raise InputError(
            f"{given} with geodesic {geodesic}, program_every {program_every}, which take the step's own curvature: leave one out"
        )


def devices_of(device: Any) -> Any:
    """The device, or devices, of what stands for them, such as cards; see `as_device`. None stays."""
    if device is None:
        return None
    if not isinstance(device, list | tuple):
        return as_device(device)
    return [as_device(one, seed, f"device[{seed}]") for seed, one in enumerate(device)]


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
