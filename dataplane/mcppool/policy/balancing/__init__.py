"""Load-balancing strategies, one a file."""
