"""What is on the board: parts, netlists, noise, temperature, ngspice."""
