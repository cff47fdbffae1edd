from .array import ArrayParts as ArrayParts
from .base import Fabric as Fabric
from .cascade import Factored as Factored
from .cascade import FactoredParts as FactoredParts
from .crossbar import Crossbar as Crossbar
from .crossbar import CrossbarParts as CrossbarParts
from .dual_rail import DualRail as DualRail
from .dual_rail import DualRailParts as DualRailParts
from .lc import LC as LC
from .lc import Oscillators as Oscillators
from .network import Network as Network
from .rc import RC as RC
from .rc import ResistorNetwork as ResistorNetwork
from .registry import fabric_named as fabric_named
from .registry import fabric_names as fabric_names
from .registry import register_fabric as register_fabric
from .registry import registered_fabric as registered_fabric
from .spu import SPU as SPU
from .spu import CoupledCells as CoupledCells

__all__ = [
    "LC",
    "RC",
    "SPU",
    "ArrayParts",
    "CoupledCells",
    "Crossbar",
    "CrossbarParts",
    "DualRail",
    "DualRailParts",
    "Fabric",
    "Factored",
    "FactoredParts",
    "Network",
    "Oscillators",
    "ResistorNetwork",
    "fabric_named",
    "fabric_names",
    "register_fabric",
    "registered_fabric",
]
