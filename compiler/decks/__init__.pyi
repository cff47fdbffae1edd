from .monte_carlo import monte_carlo_spice as monte_carlo_spice
from .parametric import parametric_netlist as parametric_netlist
from .parametric import parametric_spice as parametric_spice

__all__ = ["monte_carlo_spice", "parametric_netlist", "parametric_spice"]
