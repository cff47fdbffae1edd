"""Training a network with the device."""
