"""What a loss says of its outputs: its slope, its curvature, and the likelihood whose negative logarithm it is."""
