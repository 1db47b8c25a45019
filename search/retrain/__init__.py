"""Candidates trained at full length, exported and scored."""
