"""Terminal output: progress, tables, outcomes."""
