"""The sources of a snapshot: a file, a Kubernetes ConfigMap."""
