"""Endpoints, their connections, sessions and health."""
