"""What `fabrics.oscillator` is made of: component values, the law of the whole circuit, its modes, and how far it swings."""
