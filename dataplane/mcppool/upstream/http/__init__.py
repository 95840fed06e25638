"""HTTP/1.1 towards endpoints: connections, their pool, request heads."""
