"""The search itself, free of Ray: trials, what is proposed and promoted, rebuilt from the ledger."""
