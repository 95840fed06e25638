"""Where a snapshot comes from: a file, a Kubernetes ConfigMap."""
