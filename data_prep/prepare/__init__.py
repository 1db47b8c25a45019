"""`asc prepare`: audio to shards, in parallel and resumable, with a quarantine for bad files."""
