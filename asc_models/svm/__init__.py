"""The support vector machine on band energies, a baseline."""
