"""The search space: knobs, their lattice, the points, and the settings of a point."""
