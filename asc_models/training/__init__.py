"""A description → a Keras model, trained: batches, schedule, checkpoints, exact resume."""
