"""The search without Ray: trials, proposals and promotions, rebuilt from the ledger."""
