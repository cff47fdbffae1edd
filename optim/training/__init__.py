"""Training loops, trajectories and loss landscapes."""
