"""Traces and durations of calls and attempts. A pool without `tracing` loads and does nothing of it."""
