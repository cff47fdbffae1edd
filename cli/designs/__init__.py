"""Commands for who builds the circuit: what is handed over to a designer, and how large an array may get."""
