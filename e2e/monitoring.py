"""Prometheus and KEDA in the cluster of the tests."""

from __future__ import annotations

import json
from typing import Any

import yaml

from e2e.clusters import ROOT, Cluster, CommandFailedError
from e2e.waiting import PATIENCE
from tests.requirements import missing, need_path

PROMETHEUS = "/api/v1/namespaces/default/pods/prometheus-e2e-0:9090/proxy/api/v1"
PROMETHEUS_URL = "http://prometheus-operated.default:9090"
KEDA = "localhost/mcppool-keda:0.1.0"
KEDA_NAMESPACE = "keda"
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}}


def install_prometheus(cluster: Cluster) -> None:
    """Run a Prometheus that takes every ServiceMonitor with the page's label."""
    image = need_path(
        ROOT / "dist" / "images" / "prometheus.tar",
        "a Prometheus that discovers pods",
        "install Go, then: scripts/build-images prometheus",
    )
    try:
        cluster.install_prometheus_operator()
    except CommandFailedError as error:
        missing(f"the Prometheus operator ({error})", "install it into the cluster")
    cluster.load([image])
    cluster.kubectl("apply", "-f", str(ROOT / "e2e" / "prometheus.yaml"))


def ask(cluster: Cluster, path: str) -> Any:
    """The answer of Prometheus, through the API server; None while there is none."""
    try:
        return json.loads(cluster.kubectl("get", "--raw", f"{PROMETHEUS}/{path}"))["data"]
    except CommandFailedError:
        return None


def install_keda(cluster: Cluster) -> None:
    """Run KEDA as its own manifests say, but for its webhook, with the image that is built here."""
    remedy = "install Go, then: scripts/build-images keda"
    image = need_path(ROOT / "dist" / "images" / "keda.tar", "KEDA", remedy)
    manifests = need_path(ROOT / ".cache" / "keda" / "keda.yaml", "the manifests of KEDA", remedy)
    cluster.load([image])
    objects = [
        found for found in yaml.safe_load_all(manifests.read_text()) if "admission" not in found["metadata"]["name"]
    ]
    for each in objects:
        if each["kind"] == "Deployment":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            container |= {"image": KEDA, "imagePullPolicy": "IfNotPresent", "resources": SMALL}
    cluster.kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(objects))
    for name in ("keda-operator", "keda-metrics-apiserver"):
        cluster.kubectl("rollout", "status", "-n", KEDA_NAMESPACE, f"deployment/{name}", f"--timeout={PATIENCE:g}s")
    cluster.kubectl(
        "wait", "--for=condition=Available", "apiservice/v1beta1.external.metrics.k8s.io", f"--timeout={PATIENCE:g}s"
    )
