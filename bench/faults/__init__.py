"""What clients notice of the faults of replicas; `python -m bench.faults --help`."""
