"""Measured boards as devices."""
