"""The gateway: the listener, the router, and the process around the pools."""
