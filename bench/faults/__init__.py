"""The effects of faults of replicas on clients; `python -m bench.faults --help`."""
