"""The chart's README: a table of its values, made from `values.yaml` and its `# --` comments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

HEAD = """# The mcppool operator's chart

Installs the operator, which puts gateways in front of your MCP servers for each `McpServerPool`. It needs Kubernetes
1.30 or newer, and images that your nodes can pull: until they are published,
[build them](../../docs/tutorials/kubernetes.md#images) and set `image.registry`.

Apply the CRD first, because Helm never upgrades a CRD; then install, and let `helm test` call a tool through a pool:

    kubectl apply --server-side -f crds/
    helm install mcppool charts/mcppool --namespace mcppool-system --create-namespace --wait
    helm test mcppool --namespace mcppool-system

A pool in front of the Service `my-server`; `kubectl get mcppool` shows whether it is ready, and the URL for clients:

    kubectl apply -f - <<EOF
    apiVersion: mcppool.dev/v1alpha1
    kind: McpServerPool
    metadata: {name: my-pool}
    spec:
      source: {type: Service, service: {name: my-server, port: http}}
      auth: {inbound: {type: None}}
    EOF

Values that most installations set: `image.registry`, `watchNamespaces` in a cluster of several teams,
`admissionPolicy.requireAuthentication`, `prometheusRule.enabled` and `dashboards.enabled`. Values with a mistake are
refused by name.

To upgrade, rotate keys, scale or uninstall: [run pools on Kubernetes](../../docs/how-to/kubernetes-pools.md).
Conditions, objects and permissions: [the operator](../../docs/reference/operator.md). Uninstalling the chart leaves
pools and their gateways running.

| value | default | meaning |
|---|---|---|
"""


def readme(text: str) -> str:
    """The README that belongs to this `values.yaml`."""
    comments = dict(_comments(text))
    rows = (
        f"| `{path}` | `{json.dumps(_at(yaml.safe_load(text), path))}` | {words} |" for path, words in comments.items()
    )
    return HEAD + "\n".join(rows) + "\n"


def _comments(text: str) -> Iterator[tuple[str, str]]:
    """Each value that has a comment, by its path, and the comment."""
    words: list[str] = []
    path: list[str] = []
    for line in text.splitlines():
        body = line.strip()
        if body.startswith("# -- "):
            words = [body[5:]]
        elif body.startswith("#") and words:
            words.append(body[1:].strip())
        elif body and not body.startswith(("#", "-")):
            depth = (len(line) - len(line.lstrip())) // 2
            path[depth:] = [body.partition(":")[0]]
            if words:
                yield ".".join(path), " ".join(words)
            words = []


def _at(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values
