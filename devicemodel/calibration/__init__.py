"""Calibration of a device card against ngspice."""
