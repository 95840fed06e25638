"""Authentication of clients: the principal of a request, and the reply to a client that is not admitted."""
