"""OAuth towards the servers: access tokens of the gateway."""
