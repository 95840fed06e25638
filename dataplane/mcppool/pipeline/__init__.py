"""The path of a call, from a parsed request to its answer."""
