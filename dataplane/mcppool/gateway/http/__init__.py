"""HTTP/1.1 towards clients: listener, connections, requests, validation."""
