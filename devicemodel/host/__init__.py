"""The digital side of every device: converters and read-out."""
