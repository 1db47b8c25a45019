"""Published data sets: where they lie, fetched with resume, checked and unpacked."""
