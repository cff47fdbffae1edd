"""Solved systems as `simulate` shows them: by settling, and by sampling."""
