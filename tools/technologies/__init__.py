"""Technologies made from open foundries' models: `make technologies`, or `python -m tools.technologies`."""
