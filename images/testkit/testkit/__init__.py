"""Real MCP servers and clients, made with the official SDK, for tests of mcppool that run inside a cluster."""
