from .corners import at_corner as at_corner
from .devices import ProcessCapacitor as ProcessCapacitor
from .devices import ProcessResistor as ProcessResistor
from .devices import ProcessTransistor as ProcessTransistor
from .process_record import Process as Process
from .registry import PROCESSES as PROCESSES
from .registry import process as process

__all__ = [
    "PROCESSES",
    "Process",
    "ProcessCapacitor",
    "ProcessResistor",
    "ProcessTransistor",
    "at_corner",
    "process",
]
