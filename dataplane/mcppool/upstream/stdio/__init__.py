"""Local servers: programs that speak MCP on their standard streams, made into endpoints.

A slot is one replica: it listens on a socket file and speaks Streamable HTTP there, so that everything else —
connections, balancing, health, sessions, retries — treats it like any endpoint. Behind it is one process for requests
of the modern era and one process for each legacy session, or one that all sessions share where `sessions.stateless`
says that they hold none.
"""
