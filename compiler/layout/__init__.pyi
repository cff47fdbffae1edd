from .effect import effective_conductance as effective_conductance
from .effect import layout_admittance as layout_admittance
from .effect import layout_effect as layout_effect
from .effect import layout_matrix as layout_matrix
from .extraction import extract_layout as extract_layout
from .extraction import extracted_netlist as extracted_netlist
from .tiling import Placement as Placement
from .tiling import coupling_graph as coupling_graph
from .tiling import place_on_tiles as place_on_tiles

__all__ = [
    "Placement",
    "coupling_graph",
    "effective_conductance",
    "extract_layout",
    "extracted_netlist",
    "layout_admittance",
    "layout_effect",
    "layout_matrix",
    "place_on_tiles",
]
