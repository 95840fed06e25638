"""The chart's README: a table of its values, made from `values.yaml` and its `# --` comments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

HEAD = """# The mcppool operator's chart

Installs the operator of McpServerPool resources. Apply the CRD separately, because Helm never upgrades a CRD:

    kubectl apply --server-side -f crds/
    helm install mcppool charts/mcppool --namespace mcppool-system --create-namespace
    helm test mcppool --namespace mcppool-system

Its objects and permissions: [docs/reference/operator.md](../../docs/reference/operator.md).
Uninstalling the chart leaves pools and their gateways running.

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
