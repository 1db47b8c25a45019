"""Ensembles of retrained candidates: calibration, search for members, and the file that lists them."""
