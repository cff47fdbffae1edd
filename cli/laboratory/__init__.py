"""The command that takes a laboratory's tables: `lab`."""
