"""The `asc` command: one file per command."""
