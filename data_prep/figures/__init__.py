"""Figures of prepared data, and how every figure looks. Imports matplotlib: only what draws imports it."""
