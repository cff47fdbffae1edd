"""SPICE text: reading and writing netlists."""
