"""Measurements of the gateway beside its peers; see docs/benchmarks.md."""
