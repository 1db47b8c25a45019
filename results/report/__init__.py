"""The report of a run: one HTML page, its tables as CSV, its figures."""
