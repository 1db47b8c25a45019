"""What a run leaves on disk and all that is read from it: tables, front, ensembles, report, submission."""
