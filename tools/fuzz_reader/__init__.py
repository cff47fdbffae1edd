"""A differential fuzz of the netlist reader: what `parse_spice` makes of a text, against what `ngspice -b` makes of it."""
