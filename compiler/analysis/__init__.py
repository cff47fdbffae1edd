"""Analyses of a compiled program: report, sensitivities, equations, heat and electro-thermal equilibrium."""
