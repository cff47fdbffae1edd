"""What TNGD reads off a device: whether readings are refined, of which system, and what a remainder of the gradient asks for."""
