"""Figures of the report. No other package of `results` imports matplotlib."""
