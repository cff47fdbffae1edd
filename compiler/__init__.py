"""From a curvature matrix to an analog program to a netlist, in small checked passes."""
