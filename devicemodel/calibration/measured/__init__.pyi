from .calibrate import calibrate_from_measurements as calibrate_from_measurements
from .calibrate import check_measurements as check_measurements
from .formats.read import read_bench_file as read_bench_file
from .measurements import Measurements as Measurements
from .measurements import read_measurements as read_measurements
from .result import Check as Check
from .result import CircuitCalibration as CircuitCalibration
from .result import DataRange as DataRange
from .result import DataSource as DataSource
from .result import Prior as Prior
from .result import Residual as Residual
from .result import Value as Value
from .result import Verdict as Verdict

__all__ = [
    "Check",
    "CircuitCalibration",
    "DataRange",
    "DataSource",
    "Measurements",
    "Prior",
    "Residual",
    "Value",
    "Verdict",
    "calibrate_from_measurements",
    "check_measurements",
    "read_bench_file",
    "read_measurements",
]
