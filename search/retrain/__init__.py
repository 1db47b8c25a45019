"""Training, export and scoring of candidates at full length."""
