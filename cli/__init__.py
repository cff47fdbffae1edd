"""The `thermograd` command, one file a command."""
