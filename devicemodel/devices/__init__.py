"""The devices: ideal, SPICE, surrogate, tile, and batches of dies."""
