"""Generated from the models: the CRD, the JSON schema of files, and the tables of the documentation."""
