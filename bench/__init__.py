"""Measurements of the gateway beside its peers; see docs/reference/benchmarks.md."""
