"""The knobs of the optimizer: the settings of TNGD, the steps and the batch."""

from __future__ import annotations

import inspect
from typing import Any

from ...curvature.curvature import CURVATURE_KINDS
from ...optimizers.readings.arguments import SYSTEMS
from ...optimizers.tngd import TNGD
from .host_knobs import SWITCH, kind_of
from .knob import Allowed, Kind, Knob

LEFT_OUT = {
    "params": "the network's",
    "device": "the die's",
    "reading": "a study's readings",
    "seed": "a study's seeds",
    "betas": "a pair of numbers, for the settings of a study",
    "process_group": "an object",
}
"""Arguments of TNGD that are no knobs, and what gives them."""
_POSITIVE = {"low": 0.0, "above": True, "below": True}
_FROM_ZERO = {"low": 0.0, "below": True}
_COUNT: dict[str, Any] = {"low": 1.0, "below": True}
_BELOW_ONE = {"low": 0.0, "high": 1.0, "below": True}
_NONE_BEFORE: dict[str, Kind] = {"clip": "number", "geodesic": "number"}

_TNGD: dict[str, tuple[str, str, dict[str, Any], tuple[float | str, ...], str]] = {
    "lr": ("Learning rate", "", _FROM_ZERO, (0.03, 0.1, 0.3, 1.0), "Learning rate of the step theta <- theta - lr x."),
    "damping": ("Damping", "", _FROM_ZERO, (0.03, 0.1, 0.3, 1.0), "Damping lambda that is added to the diagonal of the curvature."),
    "duration": ("Analog time", "tau", {"low": 0.0}, (2.0, 5.0, 10.0, 20.0, 50.0),
        "Duration of a run before it is read; 0 is SGD, inf the exact natural gradient."),
    "delay_time": ("Delay", "tau", _FROM_ZERO, (),
        "Time that the device runs on between a reading and the next upload; needs tngd.reset = false."),
    "reset": ("Reset before each run", "", SWITCH, ("off", "on"),
        "Whether each run starts at the gradient; false goes on from the state, with tngd.system = primal."),
    "reads": ("Averaged readings", "", _COUNT, (1, 2, 4, 8), "Readings along a run that the optimizer averages."),
    "read_interval": ("Time between readings", "tau", _POSITIVE, (), "Time between these readings; needs tngd.reads > 1."),
    "system": ("Programmed system", "", {"choices": SYSTEMS}, (),
        "What is programmed: the dual cells of a batch, the parameters, or Kronecker factors."),
    "ema_decay": ("Decay of the factors' averages", "", _BELOW_ONE, (0.0, 0.9, 0.95, 0.99),
        "Decay of the Kronecker factors' moving averages; kronecker and kfac only."),
    "factored_damping": ("Factored damping", "", SWITCH, ("off", "on"), "Whether each Kronecker factor has its own damping; kfac only."),
    "program_every": ("Steps a program", "", _COUNT, (1, 2, 4, 8),
        "Steps from one programming to the next; needs refined readings and tngd.system = primal."),
    "curvature_age": ("Age of the curvature", "", {"low": 0}, (0, 1, 2, 4),
        "Steps by which the curvature is older than the gradient; needs tngd.system = primal."),
    "curvature_every": ("Steps a curvature", "", _COUNT, (1, 2, 4, 8),
        "Steps from one curvature to the next; needs tngd.system = primal."),
    "curvature": ("Curvature", "", {"choices": CURVATURE_KINDS}, (), "Curvature matrix that is programmed."),
    "mc_samples": ("Drawn labels", "", _COUNT, (1, 2, 4), "Labels that are drawn for each sample; mc-fisher only."),
    "update": ("Update", "", {"choices": ("sgd", "adam")}, ("sgd", "adam"), "What takes x in place of the gradient."),
    "momentum": ("Momentum", "", _BELOW_ONE, (0.0, 0.5, 0.9), "Momentum of the update sgd."),
    "weight_decay": ("Weight decay", "", _FROM_ZERO, (0.0, 1e-4, 1e-3, 1e-2), "Decoupled weight decay."),
    "eps": ("Adam's epsilon", "", _POSITIVE, (), "Epsilon of the update adam."),
    "clip": ("Longest step", "", {**_POSITIVE, "optional": True}, (), "Largest norm of a step over all parameters; none: no limit."),
    "line_search": ("Line search", "", SWITCH, ("off", "on"), "Whether steps are halved while the batch's loss falls by it."),
    "spring": ("SPRING's momentum", "", _BELOW_ONE, (0.0, 0.5, 0.9), "SPRING's momentum of the natural gradient."),
    "geodesic": ("Geodesic acceleration", "", {**_POSITIVE, "optional": True}, (),
        "Largest share of a step that the geodesic acceleration bends it by; none: straight steps."),
}  # fmt: skip
_LOG = ("lr", "damping", "duration", "weight_decay", "eps", "clip")


def optimizer_knobs() -> dict[str, Knob]:
    """By name: settings of TNGD as its signature has them, with steps and batch of the training."""
    found = {}
    signature = inspect.signature(TNGD).parameters
    for argument, (title, unit, limits, levels, meaning) in _TNGD.items():
        default = signature[argument].default
        kind = _NONE_BEFORE[argument] if default is None else kind_of(default)
        name = f"tngd.{argument}"
        found[name] = Knob(name, title, unit, Allowed(kind, **limits), "optimizer", meaning, argument in _LOG, levels)
    for argument, title, meaning in (
        ("steps", "Steps", "Updates of the training."),
        ("batch", "Batch", "Samples of a step."),
    ):
        name = f"training.{argument}"
        found[name] = Knob(name, title, "", Allowed("whole", **_COUNT), "optimizer", meaning)
    return found
