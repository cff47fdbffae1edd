"""Report of a measured circuit: its calibration, pictures and page."""
