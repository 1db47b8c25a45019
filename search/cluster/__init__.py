"""Ray Core: sessions, nodes, executors, and the doctor that looks at them."""
