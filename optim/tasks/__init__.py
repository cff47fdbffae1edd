"""The tasks that networks are trained on, by name."""
