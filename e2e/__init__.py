"""The cluster test: docs/kubernetes.md, run in a real cluster (`make e2e`)."""
