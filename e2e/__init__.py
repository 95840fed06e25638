"""The cluster test: docs/tutorials/kubernetes.md, run in a real cluster (`make e2e`)."""
