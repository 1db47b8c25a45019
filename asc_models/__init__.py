"""A description of a network → a Keras model → a quantized file, its exact size and cost. Knows nothing of Ray."""
