"""The sections of a configuration, one idea per file."""
