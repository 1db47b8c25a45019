"""The report of a run: an HTML page, tables as CSV, and figures."""
