"""Calibration of a circuit's values from laboratory measurements."""
