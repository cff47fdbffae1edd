from .board import Board as Board
from .board import Voltages as Voltages
from .calibrated_range import CalibratedRange as CalibratedRange
from .converters import Adc as Adc
from .converters import Dac as Dac
from .host import Host as Host
from .hosted_device import HostedDevice as HostedDevice
from .kronecker_columns import KroneckerColumns as KroneckerColumns
from .kronecker_columns import factored_damping as factored_damping
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
    "KroneckerColumns",
    "Probe",
    "ReadOut",
    "Refined",
    "Voltages",
    "factored_damping",
]
