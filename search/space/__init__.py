"""What is searched: knobs, their lattice, the points, and what a point stands for."""
