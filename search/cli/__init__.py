"""The `asc` command: one file a stage."""
