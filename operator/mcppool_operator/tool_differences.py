"""Tools that differ between the replicas of a server, or from their pins, as its gateways report them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcppool.spec.plural import counted
from mcppool_operator.pods import MAX_CAUSE

MAX_SHOWN: Final = 3
"""Upper bound on the tools in the message."""

MAX_NAME: Final = 64

KINDS: Final = {
    "missing": "is not listed by {where}",
    "extra": "is listed by {where} alone",
    "definition": "has another definition at {where}",
}


@dataclass(frozen=True, slots=True)
class ToolReport:
    """Report of a gateway on a pool's tools: the number of those that differ between replicas, some of these, and
    tools that differ from their pins."""

    differ: int
    examples: tuple[Mapping[str, Any], ...]
    changed: tuple[str, ...]

    @property
    def reason(self) -> str:
        """The reason of the condition."""
        return "ReplicasDiffer" if self.differ else "NotAsPinned"

    def message(self, pods: Mapping[str, str]) -> str:
        """Return the message of the condition; `pods`: names of pods by the gateways' name of their endpoint."""
        parts = []
        if self.differ:
            lines = [text for example in self.examples[:MAX_SHOWN] if (text := _line(example, pods))]
            lines += [f"and {self.differ - len(lines)} more"] if self.differ > len(lines) > 0 else []
            head = f"{counted(self.differ, 'tool', ('differs', 'differ'))} between replicas"
            parts.append(": ".join(filter(None, (head, "; ".join(lines)))))
        if self.changed:
            named = ", ".join(f'"{name[:MAX_NAME]}"' for name in self.changed[:MAX_SHOWN])
            more = f" and {len(self.changed) - MAX_SHOWN} more" if len(self.changed) > MAX_SHOWN else ""
            head = counted(len(self.changed), "tool", ("differs from its pin", "differ from their pins"))
            parts.append(f"{head}: {named}{more}")
        return "; ".join(parts)


def tool_report(pool: str, loads: Iterable[Mapping[str, Any]]) -> ToolReport | None:
    """Return the report of the gateway with the most differences; None if no gateway reports one."""
    reports = [report for load in loads if (report := _report(load, pool)) is not None]
    return max(reports, key=lambda report: (report.differ, len(report.changed)), default=None)


def _report(load: Mapping[str, Any], pool: str) -> ToolReport | None:
    reports = load.get("tools")
    report = reports.get(pool) if isinstance(reports, Mapping) else None
    if not isinstance(report, Mapping):
        return None
    differ = report.get("differ")
    found = ToolReport(
        differ if isinstance(differ, int) and differ > 0 else 0,
        tuple(example for example in _list(report.get("examples"))[:MAX_SHOWN] if isinstance(example, Mapping)),
        tuple(name for name in _list(report.get("changed")) if isinstance(name, str)),
    )
    return found if found.differ or found.changed else None


def _line(example: Mapping[str, Any], pods: Mapping[str, str]) -> str | None:
    kind = example.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return None
    endpoint, tool = str(example.get("endpoint")), str(example.get("tool"))[:MAX_NAME]
    where = f"{endpoint} ({pods[endpoint]})" if endpoint in pods else endpoint[:MAX_CAUSE]
    return f'"{tool}" {KINDS[kind].format(where=where)}'


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
