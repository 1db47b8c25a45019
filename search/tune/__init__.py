"""Ray Tune: it runs trials and decides nothing."""
