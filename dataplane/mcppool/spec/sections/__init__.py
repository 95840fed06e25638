"""One section of the configuration a file, named as in the configuration."""
