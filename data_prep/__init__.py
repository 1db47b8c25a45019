"""Audio on disk → Parquet feature shards, and back as network input. Knows nothing of models."""

__version__ = "0.1.0"
