"""Retrained candidates: metrics, predictions, spread over seeds, and the limits that apply to them."""
