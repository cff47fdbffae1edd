from .board import Board as Board
from .board import Voltages as Voltages
from .calibrated_range import CalibratedRange as CalibratedRange
from .converters import Adc as Adc
from .converters import Dac as Dac
from .host import Host as Host
from .hosted_device import HostedDevice as HostedDevice
from .probe import Probe as Probe
from .readout import ReadOut as ReadOut
from .refine import Refined as Refined

__all__ = [
    "Adc",
    "Board",
    "CalibratedRange",
    "Dac",
    "Host",
    "HostedDevice",
    "Probe",
    "ReadOut",
    "Refined",
    "Voltages",
]
