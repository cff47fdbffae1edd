"""What is asked of a compiled program: report, sensitivities, equations, electro-thermal equilibrium."""
