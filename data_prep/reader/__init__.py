"""Shards as batches of network input: scaling, deltas, crops and channels."""
