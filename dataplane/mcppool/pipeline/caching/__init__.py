"""The cache of answers, and its invalidation."""
