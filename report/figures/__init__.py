"""Figures, one file a subject."""
