"""Authentication of clients: who sends a request, and what a client is told whom the gateway does not let in."""
