"""The report's figures: matplotlib is imported here and nowhere else."""
