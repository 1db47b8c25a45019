"""Where shards and runs are stored: a folder or an object store."""
