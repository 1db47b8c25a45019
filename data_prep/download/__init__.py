"""Download of published data sets: resumable, verified by checksums, and unpacked."""
