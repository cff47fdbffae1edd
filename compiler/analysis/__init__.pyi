from .area import program_area as program_area
from .describe import describe as describe
from .die_spread import DieSpread as DieSpread
from .die_spread import die_spread as die_spread
from .die_yield import die_yield as die_yield
from .electrothermal import ElectroThermal as ElectroThermal
from .electrothermal import ThermalOutcome as ThermalOutcome
from .electrothermal import self_heated as self_heated
from .equations import Equations as Equations
from .equations import derive_equations as derive_equations
from .heat import dissipation as dissipation
from .heat import equilibrium as equilibrium
from .heat import heat_map as heat_map
from .loading import loaded_matrix as loaded_matrix
from .reading_errors import reading_errors as reading_errors
from .rest_noise import rest_noise as rest_noise
from .sensitivity import Sensitivities as Sensitivities
from .sensitivity import sensitivities as sensitivities

__all__ = [
    "DieSpread",
    "ElectroThermal",
    "Equations",
    "Sensitivities",
    "ThermalOutcome",
    "derive_equations",
    "describe",
    "die_spread",
    "die_yield",
    "dissipation",
    "equilibrium",
    "heat_map",
    "loaded_matrix",
    "program_area",
    "reading_errors",
    "rest_noise",
    "self_heated",
    "sensitivities",
]
