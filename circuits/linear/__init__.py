"""Linear circuits without a simulator: modified nodal analysis, state space, noise spectra."""
