"""Netlists as checked records: elements, analyses, sub-circuits."""
