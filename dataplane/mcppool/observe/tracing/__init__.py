"""Spans and durations by OpenTelemetry's conventions, and their way to a collector."""
