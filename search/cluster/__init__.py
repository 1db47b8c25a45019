"""Ray Core: sessions, nodes, executors, and the checks of `asc doctor`."""
