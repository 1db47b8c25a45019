"""Tables of the report, one file each: its columns, and what the page says about it; `all` has the CSV files."""
