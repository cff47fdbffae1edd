from .base import NaturalGradient as NaturalGradient
from .config import NaturalGradientConfig as NaturalGradientConfig
from .damping import Damping as Damping
from .damping import LevenbergMarquardt as LevenbergMarquardt
from .kfac import KFAC as KFAC
from .ngd import NGD as NGD
from .ngd import NGDCG as NGDCG
from .ngd import NGDWoodbury as NGDWoodbury
from .registry import OPTIMIZERS as OPTIMIZERS
from .registry import make_optimizer as make_optimizer
from .step import Direction as Direction
from .step import StepRecord as StepRecord
from .tngd import TNGD as TNGD

__all__ = [
    "KFAC",
    "NGD",
    "NGDCG",
    "OPTIMIZERS",
    "TNGD",
    "Damping",
    "Direction",
    "LevenbergMarquardt",
    "NGDWoodbury",
    "NaturalGradient",
    "NaturalGradientConfig",
    "StepRecord",
    "make_optimizer",
]
