"""How a programmed device behaves: ideal, surrogate and SPICE behind one protocol; calibration."""
