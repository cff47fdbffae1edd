from .analyses import AC as AC
from .analyses import ACResult as ACResult
from .analyses import Noise as Noise
from .analyses import NoiseResult as NoiseResult
from .analyses import OperatingPoint as OperatingPoint
from .analyses import OperatingPointResult as OperatingPointResult
from .analyses import Transient as Transient
from .analyses import TransientResult as TransientResult
from .elements import CCCS as CCCS
from .elements import CCVS as CCVS
from .elements import VCCS as VCCS
from .elements import VCVS as VCVS
from .elements import Capacitor as Capacitor
from .elements import CurrentSource as CurrentSource
from .elements import Element as Element
from .elements import Inductor as Inductor
from .elements import Resistor as Resistor
from .elements import VoltageSource as VoltageSource
from .library_passives import SheetResistor as SheetResistor
from .library_passives import SubcircuitCapacitor as SubcircuitCapacitor
from .library_passives import SubcircuitResistor as SubcircuitResistor
from .limiting import Clamp as Clamp
from .limiting import SaturatingVCCS as SaturatingVCCS
from .model_library import LibraryModel as LibraryModel
from .model_library import ModelLibrary as ModelLibrary
from .mutual_inductance import MutualInductance as MutualInductance
from .netlist import Netlist as Netlist
from .semiconductors import BipolarTransistor as BipolarTransistor
from .semiconductors import DeviceModel as DeviceModel
from .semiconductors import Diode as Diode
from .semiconductors import Mosfet as Mosfet
from .semiconductors import Switch as Switch

__all__ = [
    "AC",
    "CCCS",
    "CCVS",
    "VCCS",
    "VCVS",
    "ACResult",
    "BipolarTransistor",
    "Capacitor",
    "Clamp",
    "CurrentSource",
    "DeviceModel",
    "Diode",
    "Element",
    "Inductor",
    "LibraryModel",
    "ModelLibrary",
    "Mosfet",
    "MutualInductance",
    "Netlist",
    "Noise",
    "NoiseResult",
    "OperatingPoint",
    "OperatingPointResult",
    "Resistor",
    "SaturatingVCCS",
    "SheetResistor",
    "SubcircuitCapacitor",
    "SubcircuitResistor",
    "Switch",
    "Transient",
    "TransientResult",
    "VoltageSource",
]
