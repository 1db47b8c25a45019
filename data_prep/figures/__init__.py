"""Figures of prepared data, and the style of all figures. Imports matplotlib, so only drawing code imports it."""
