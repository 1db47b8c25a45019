"""A run in shared storage: its ledger in segments, its checkpoints, the lock of its driver."""
