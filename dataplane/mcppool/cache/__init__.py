"""Stores for results."""
