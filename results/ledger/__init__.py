"""The event log of a run and the states derived from it."""
