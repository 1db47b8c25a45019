"""Files on disk: Parquet feature shards and the manifest that describes them."""
