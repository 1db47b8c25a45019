"""Observers of a running search: each shows the events of the ledger or writes them in another format."""
