"""What `thermograd train` does: one training, or all those of an experiment."""
