"""Metrics, logs, health, the admin port."""
