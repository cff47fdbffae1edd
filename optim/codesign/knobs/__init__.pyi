from .design_point import DesignPoint as DesignPoint
from .knob import Allowed as Allowed
from .knob import Knob as Knob
from .knob import Value as Value
from .registry import ALIASES as ALIASES
from .registry import KNOBS as KNOBS
from .registry import knob_named as knob_named

__all__ = [
    "ALIASES",
    "KNOBS",
    "Allowed",
    "DesignPoint",
    "Knob",
    "Value",
    "knob_named",
]
