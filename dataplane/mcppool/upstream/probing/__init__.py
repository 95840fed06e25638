"""Health checks: the era of a server, its catalog, its answers to checks."""
