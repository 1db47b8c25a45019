"""Whoever looks on while a search runs: each takes the ledger's events and shows or files them in its own way."""
