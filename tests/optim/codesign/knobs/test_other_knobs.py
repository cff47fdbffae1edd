"""Knobs of host and optimizer agree with the classes that take them, and the page with the registry."""

import inspect
import math
from pathlib import Path

import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.host.refine import Refined
from thermograd.optim.codesign.knobs import ALIASES, KNOBS
from thermograd.optim.codesign.knobs.markdown import as_data, markdown
from thermograd.optim.codesign.knobs.optimizer_knobs import LEFT_OUT
from thermograd.optim.optimizers.tngd import TNGD

PAGE = Path(__file__).resolve().parents[4] / "docs" / "knobs.md"
TAKES = {
    "tngd": lambda **given: TNGD([torch.zeros(1, requires_grad=True)], **given),
    "refined": lambda **given: Refined(IdealDevice(), **given),
    "readout": ReadOut,
}
BESIDE = {
    "tngd.delay_time": {"reset": False, "system": "primal"},
    "tngd.reset": {"system": "primal"},
    "tngd.read_interval": {"reads": 2, "reading": "bare"},
    "tngd.ema_decay": {"system": "kfac"},
    "tngd.factored_damping": {"system": "kfac"},
    "tngd.program_every": {"system": "primal"},
    "tngd.curvature_age": {"system": "primal"},
    "tngd.curvature_every": {"system": "primal"},
    "tngd.mc_samples": {"curvature": "mc-fisher"},
    "tngd.eps": {"update": "adam"},
    "readout.interval": {"reads": 2},
}
"""Arguments that one needs beside it."""
GIVEN = [name for name in KNOBS if name.partition(".")[0] in TAKES]


def takes(name, value):
    prefix, _, argument = name.partition(".")
    try:
        TAKES[prefix](**BESIDE.get(name, {}), **{argument: value})
    except InputError:
        return False
    return True


@pytest.mark.parametrize("name", GIVEN)
def test_ranges_are_those_of_the_class_that_takes_it(name):
    """Inside, at each limit, and beyond; and kinds."""
    allowed = KNOBS[name].allowed
    tried = [True, "word", math.nan, None]
    if allowed.kind in ("number", "whole"):
        for limit in (allowed.low, allowed.high):
            tried += [limit] if math.isinf(limit) else [limit - 1, limit, limit + 1]
        tried = [
            int(one) if isinstance(one, float) and one.is_integer() and allowed.kind == "whole" else one
            for one in tried
        ]
    tried += allowed.choices
    # A setting that is as it is by default may be None, or a truth value a number, where the class does not look.
    for value in tried:
        if value is None and not allowed.optional:
            continue
        if isinstance(value, bool) and allowed.kind in ("number", "whole"):
            continue
        if value == -math.inf or value == "hessian":
            continue
        assert (value in allowed) is takes(name, value), value


def test_every_setting_of_tngd_is_a_knob_or_left_out_for_a_reason():
    known = {name.partition(".")[2] for name in KNOBS if name.startswith("tngd.")}
    assert known | set(LEFT_OUT) == set(inspect.signature(TNGD).parameters)
    assert not known & set(LEFT_OUT)
    for prefix, kind in (("refined", Refined), ("readout", ReadOut)):
        known = {name.partition(".")[2] for name in KNOBS if name.startswith(f"{prefix}.")}
        assert known == set(inspect.signature(kind).parameters) - {"device"}


def test_levels_are_within_the_ranges():
    for knob in (*KNOBS.values(), *ALIASES.values()):
        for level in knob.levels:
            assert knob.parse(str(level)) in knob.allowed, knob.name


def test_the_page_shows_the_registry():
    assert PAGE.read_text(encoding="utf-8").endswith(markdown()), "run python -m tools.knobs_table"
    assert [row["name"] for row in as_data()] == [*ALIASES, *KNOBS]
