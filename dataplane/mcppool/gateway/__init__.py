"""Downstream HTTP: the listener and the front doors of both eras."""
