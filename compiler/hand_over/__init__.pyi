from .bill import bill_of_materials as bill_of_materials
from .board import Board as Board
from .board import Component as Component
from .board import board_of as board_of
from .bought import Bought as Bought
from .bought import bought as bought
from .circuit import Circuit as Circuit
from .circuit import circuit_of as circuit_of
from .device_list import device_list as device_list
from .expected import Expected as Expected
from .expected import expected_solution as expected_solution
from .kicad import kicad_netlist as kicad_netlist
from .process_devices import with_process_devices as with_process_devices
from .testbench import array_text as array_text
from .testbench import bench_text as bench_text

__all__ = [
    "Board",
    "Bought",
    "Circuit",
    "Component",
    "Expected",
    "array_text",
    "bench_text",
    "bill_of_materials",
    "board_of",
    "bought",
    "circuit_of",
    "device_list",
    "expected_solution",
    "kicad_netlist",
    "with_process_devices",
]
