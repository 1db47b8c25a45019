"""A trained model → a quantized file: exported, run, measured."""
