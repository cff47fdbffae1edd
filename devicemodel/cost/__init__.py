"""Time and energy of a step on the hybrid machine."""
