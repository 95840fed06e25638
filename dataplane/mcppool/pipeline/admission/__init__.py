"""Which calls get in: rates, limits on concurrency, pace of notifications."""
