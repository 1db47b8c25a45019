"""Retrained networks on disk: their predictions, their spread over seeds, and the limits they are held against."""
