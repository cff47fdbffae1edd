"""The cascade device: arrays of a matrix's factors, for any number of cells."""
