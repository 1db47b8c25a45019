"""Runs in shared storage: segmented ledger, checkpoints, and the driver's lock."""
