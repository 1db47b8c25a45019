"""What happened in a run: the ledger's events, and what is folded from them."""
