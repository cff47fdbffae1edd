"""What the package does for fixed seeds, recorded, and two records compared: whether a change of the code changes the behaviour, too.

See `__main__` for the command.
"""
