"""The stage `asc prepare`: audio to shards, in parallel, resumable, with a quarantine for bad files."""
