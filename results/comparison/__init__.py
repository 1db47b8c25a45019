"""Comparison of runs: fronts, hypervolumes, selected candidates, differing configuration."""
