from .area import Areas as Areas
from .area import ArrayArea as ArrayArea
from .area import ArrayCounts as ArrayCounts
from .area import array_area as array_area
from .converters import Converter as Converter
from .converters import Link as Link
from .die import Die as Die
from .e_series import nearest_preferred as nearest_preferred
from .e_series import preferred_conductance as preferred_conductance
from .e_series import series_values as series_values
from .foundry_areas import foundry_areas as foundry_areas
from .foundry_areas import layout_area as layout_area
from .mismatch import Transistor as Transistor
from .mismatch import draw_mismatch as draw_mismatch
from .mismatch import transistors_of as transistors_of
from .mismatch import with_mismatch as with_mismatch
from .parts import Capacitors as Capacitors
from .parts import Inductors as Inductors
from .parts import OpAmp as OpAmp
from .parts import Resistors as Resistors
from .parts import Switches as Switches
from .parts import Thermal as Thermal
from .parts import Variation as Variation
from .parts import Wires as Wires
from .pdk.pelgrom import Pelgrom as Pelgrom
from .presets import PRESETS as PRESETS
from .presets import RECORDS as RECORDS
from .presets import SITUATIONS as SITUATIONS
from .presets import as_technology as as_technology
from .presets import preset as preset
from .presets import thermal_preset as thermal_preset
from .provenance import Figure as Figure
from .provenance import Price as Price
from .redraw import Redraw as Redraw
from .sampling import add_dac as add_dac
from .sampling import add_sample_and_hold as add_sample_and_hold
from .sampling import settling_error as settling_error
from .technology import Technology as Technology
from .technology_record import TechnologyRecord as TechnologyRecord
from .thermal import temperature_at as temperature_at
from .thermal import temperature_map as temperature_map
from .thermal import temperature_transient as temperature_transient
from .thermal import time_constants as time_constants
from .transistor_mismatch import TransistorMismatch as TransistorMismatch

__all__ = [
    "PRESETS",
    "RECORDS",
    "SITUATIONS",
    "Areas",
    "ArrayArea",
    "ArrayCounts",
    "Capacitors",
    "Converter",
    "Die",
    "Figure",
    "Inductors",
    "Link",
    "OpAmp",
    "Pelgrom",
    "Price",
    "Redraw",
    "Resistors",
    "Switches",
    "Technology",
    "TechnologyRecord",
    "Thermal",
    "Transistor",
    "TransistorMismatch",
    "Variation",
    "Wires",
    "add_dac",
    "add_sample_and_hold",
    "array_area",
    "as_technology",
    "draw_mismatch",
    "foundry_areas",
    "layout_area",
    "nearest_preferred",
    "preferred_conductance",
    "preset",
    "series_values",
    "settling_error",
    "temperature_at",
    "temperature_map",
    "temperature_transient",
    "thermal_preset",
    "time_constants",
    "transistors_of",
    "with_mismatch",
]
