"""The chart's rules for children are the operator's table of children."""

from __future__ import annotations

from mcppool_operator.children.table import CHILDREN
from tests.chart.helm import Helm


def test_the_chart_grants_the_verbs_of_the_table_for_each_kind_of_child(helm: Helm) -> None:
    (role,) = [
        obj
        for obj in helm.template()
        if obj["kind"] == "ClusterRole" and "aggregate-to" not in str(obj["metadata"]["labels"])
    ]
    granted = {
        (group, resource): tuple(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    for child in CHILDREN:
        assert granted[child.kind.group, child.kind.plural] == child.verbs, child.kind.kind
