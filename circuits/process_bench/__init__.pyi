from .capacitors import measured_capacitance as measured_capacitance
from .resistors import ResistorNoise as ResistorNoise
from .resistors import measured_resistance as measured_resistance
from .resistors import resistor_noise as resistor_noise
from .transmission_gates import TransmissionGate as TransmissionGate
from .transmission_gates import charge_injection as charge_injection
from .transmission_gates import leakage as leakage
from .transmission_gates import on_resistance as on_resistance

__all__ = [
    "ResistorNoise",
    "TransmissionGate",
    "charge_injection",
    "leakage",
    "measured_capacitance",
    "measured_resistance",
    "on_resistance",
    "resistor_noise",
]
