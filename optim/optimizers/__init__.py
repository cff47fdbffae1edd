"""Natural-gradient optimizers: digital and thermodynamic."""
