"""Advice on the configuration of a pool, from the figures of a running gateway."""
