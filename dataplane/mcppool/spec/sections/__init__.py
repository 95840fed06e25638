"""The sections of a configuration, one idea a file."""
