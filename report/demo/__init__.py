"""The demo: the whole chain on real data, and its report."""
