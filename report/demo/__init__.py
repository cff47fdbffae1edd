"""The main job: the whole chain on real data, and the report on it."""
