"""Legacy sessions: sealed ids, failover, GET streams."""
