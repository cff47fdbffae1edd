from .parametric import parametric_netlist as parametric_netlist
from .parametric import parametric_spice as parametric_spice

__all__ = ["parametric_netlist", "parametric_spice"]
