from .analysis.describe import describe as describe
from .analysis.die_spread import DieSpread as DieSpread
from .analysis.die_spread import die_spread as die_spread
from .analysis.die_yield import die_yield as die_yield
from .analysis.electrothermal import ElectroThermal as ElectroThermal
from .analysis.electrothermal import ThermalOutcome as ThermalOutcome
from .analysis.electrothermal import self_heated as self_heated
from .analysis.equations import Equations as Equations
from .analysis.equations import derive_equations as derive_equations
from .analysis.heat import dissipation as dissipation
from .analysis.heat import equilibrium as equilibrium
from .analysis.heat import heat_map as heat_map
from .analysis.reading_errors import reading_errors as reading_errors
from .analysis.rest_noise import rest_noise as rest_noise
from .analysis.sensitivity import Sensitivities as Sensitivities
from .analysis.sensitivity import sensitivities as sensitivities
from .compile import compile_matrix as compile_matrix
from .compile import compile_system as compile_system
from .compile import lay_out as lay_out
from .decks.monte_carlo import monte_carlo_spice as monte_carlo_spice
from .decks.parametric import parametric_spice as parametric_spice
from .ensemble import compile_ensemble as compile_ensemble
from .ensemble import mean_solution_error as mean_solution_error
from .fabrics.base import Fabric as Fabric
from .fabrics.registry import fabric_named as fabric_named
from .fabrics.registry import fabric_names as fabric_names
from .fabrics.registry import register_fabric as register_fabric
from .fabrics.registry import registered_fabric as registered_fabric
from .layout.effect import effective_conductance as effective_conductance
from .layout.effect import layout_admittance as layout_admittance
from .layout.effect import layout_effect as layout_effect
from .layout.effect import layout_matrix as layout_matrix
from .layout.extraction import extract_layout as extract_layout
from .layout.extraction import extracted_netlist as extracted_netlist
from .layout.tiling import Placement as Placement
from .layout.tiling import coupling_graph as coupling_graph
from .layout.tiling import place_on_tiles as place_on_tiles
from .limitations import not_modelled as not_modelled
from .linear_system import FactoredSystem as FactoredSystem
from .linear_system import LinearSystem as LinearSystem
from .parts import Behaviour as Behaviour
from .parts import Dissipation as Dissipation
from .parts import Parts as Parts
from .passes.verify import VerificationError as VerificationError
from .passes.verify import verify as verify
from .program import AnalogProgram as AnalogProgram
from .program_io import load_program as load_program
from .program_io import save_program as save_program
from .program_report import DieError as DieError
from .program_report import DieYield as DieYield
from .program_report import LayoutEffect as LayoutEffect
from .program_report import ReadingErrors as ReadingErrors
from .program_report import Report as Report
from .program_report import Sensitivity as Sensitivity
from .program_report import Spread as Spread
from .programming import CellTable as CellTable
from .programming import Programming as Programming

__all__ = [
    "AnalogProgram",
    "Behaviour",
    "CellTable",
    "DieError",
    "DieSpread",
    "DieYield",
    "Dissipation",
    "ElectroThermal",
    "Equations",
    "Fabric",
    "FactoredSystem",
    "LayoutEffect",
    "LinearSystem",
    "Parts",
    "Placement",
    "Programming",
    "ReadingErrors",
    "Report",
    "Sensitivities",
    "Sensitivity",
    "Spread",
    "ThermalOutcome",
    "VerificationError",
    "compile_ensemble",
    "compile_matrix",
    "compile_system",
    "coupling_graph",
    "derive_equations",
    "describe",
    "die_spread",
    "die_yield",
    "dissipation",
    "effective_conductance",
    "equilibrium",
    "extract_layout",
    "extracted_netlist",
    "fabric_named",
    "fabric_names",
    "heat_map",
    "lay_out",
    "layout_admittance",
    "layout_effect",
    "layout_matrix",
    "load_program",
    "mean_solution_error",
    "monte_carlo_spice",
    "not_modelled",
    "parametric_spice",
    "place_on_tiles",
    "reading_errors",
    "register_fabric",
    "registered_fabric",
    "rest_noise",
    "save_program",
    "self_heated",
    "sensitivities",
    "verify",
]
