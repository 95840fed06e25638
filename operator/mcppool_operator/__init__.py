"""The control plane: turns McpServerPool objects into gateways and keeps them in step.

`watch` (kopf) only says which pool may have changed; `queue` decides when; `reconcile` reads the cluster afresh and
brings it to what the pool asks for. Of the data plane this package knows `mcppool.spec` only.
"""
