"""Baselines of a run, and how its systems compare with them."""
