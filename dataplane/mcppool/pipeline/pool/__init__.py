"""A pool as a whole: its parts, its configuration, its housekeeping, its access log."""
