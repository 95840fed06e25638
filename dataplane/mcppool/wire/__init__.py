"""MCP on the wire: envelopes, eras, headers, server-sent events, errors. Pure: bytes in, values out."""
