"""`subscriptions/listen`: filters, the hub of subscribers, upstream streams."""
