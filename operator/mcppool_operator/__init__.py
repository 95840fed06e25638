"""The control plane: turns McpServerPool objects into gateways and keeps them in step.

`watch` (kopf) reports which pool may have changed; `queue` decides when to work on it; `reconcile` reads the cluster
afresh and brings it to the pool's desired state. Of the data plane, this package imports only `mcppool.spec`.
"""
