"""Baselines of a run: a support vector machine, and the organisers' network."""
