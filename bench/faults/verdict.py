"""The result of a case: figures, and violations of the promise of design §4.10.

Three witnesses are compared: the clients' records, the replicas' ledger, and the gateway's own log, which has the
endpoint of each call and the times of ejections.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.faults.cases import Case
from bench.faults.clients import Record
from bench.faults.scene import CLIENTS, Scene

ADDED_P99 = 0.1  # seconds that a fault may add, except to calls that wait at the bad replica
SHARE = 1 / 20  # of the calls, for a slow replica
BROKE_OFF = ("connection: ", "the answer was cut")  # failures of a client whose connection broke
LATE = 0.25  # seconds: a call that was already on its way when its endpoint was ejected


@dataclass(frozen=True)
class Latency:
    """Seconds; `calls` is their number."""

    calls: int
    p50: float
    p99: float

    @staticmethod
    def of(records: Iterable[Record]) -> Latency:
        times = sorted(record.took for record in records)
        return Latency(len(times), _quantile(times, 0.5), _quantile(times, 0.99))


@dataclass
class Verdict:
    """`broken` lists the violations of the promise, one sentence each; it stays empty for targets that promise nothing.
    `at_replica` are the writes that were at the bad replica before its ejection; None if unknown. `inside` are the
    calls that broke off because they were inside a process of the gateway as it was killed."""

    case: str
    target: str
    calls: int
    reads_failed: int
    writes_failed: int
    failures: dict[str, int]
    executions: dict[int, int]
    wrong: int
    new_sessions: int
    before: Latency
    during: Latency
    after: Latency
    waited: int
    longest_read: float
    longest_write: float
    recovered: float | None
    sdk_calls: int = 0
    at_replica: int | None = None
    share: float | None = None
    inside: int = 0
    broken: list[str] = field(default_factory=list)

    @staticmethod
    def read(saved: Mapping[str, Any]) -> Verdict:
        """A verdict from the data of `dataclasses.asdict` after JSON."""
        latencies = {name: Latency(**saved[name]) for name in ("before", "during", "after")}
        executions = {int(times): number for times, number in saved["executions"].items()}
        return Verdict(**{**saved, **latencies, "executions": executions})

    @property
    def slowed(self) -> bool:
        """Whether the fault added too much to the latency of calls."""
        return self.during.p99 - self.before.p99 > ADDED_P99


@dataclass(frozen=True)
class Way:
    """The last endpoint of a call, by the gateway's log."""

    endpoint: str
    attempts: int


class GatewayLog:
    """The log of a gateway, at level debug, as JSON."""

    def __init__(self, text: str) -> None:
        self.ways: dict[str, Way] = {}
        self.out: dict[str, list[tuple[float, bool]]] = {}
        for line in text.splitlines():
            if not line.startswith("{"):
                continue
            event = json.loads(line)
            if event["event"] == "call" and "endpoint" in event:
                self.ways[event["request_id"]] = Way(event["endpoint"], event["attempts"])
            elif event["event"] == "endpoint_state":
                at = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()
                self.out.setdefault(event["endpoint"], []).append((at, event["state"] == "available"))

    def available(self, endpoint: str, at: float) -> bool:
        """Whether calls could be sent there at that time."""
        state = True
        for changed, available in self.out.get(endpoint, ()):
            if changed + LATE > at:
                break
            state = available
        return state

    def left_out(self, endpoint: str, since: float) -> float | None:
        """The time of its first ejection after `since`."""
        return next((at for at, available in self.out.get(endpoint, ()) if at >= since and not available), None)


def judge(case: Case, target: str, scene: Scene, log: GatewayLog | None) -> Verdict:
    """The figures; with `log`, of our own gateway, also whether the promise was kept."""
    records = scene.records
    lines = scene.lines()
    executed = Counter(x["key"] for x in lines if x["tool"] == "write" and x.get("event") != "received")
    writes = [record for record in records if record.write]
    failed = [record for record in records if record.failure is not None]
    waited = [r for r in _during(scene) if case.waits and log is not None and _waited(r, log, scene)]
    left_out = {id(record) for record in waited}
    verdict = Verdict(
        case=case.name,
        target=target,
        calls=len(records),
        reads_failed=sum(not r.write for r in failed),
        writes_failed=sum(r.write for r in failed),
        failures=dict(Counter(_class(record) for record in failed).most_common()),
        executions=dict(sorted(Counter(executed[record.key] for record in writes).items())),
        wrong=sum(record.wrong for record in records),
        new_sessions=sum(record.new_session for record in records),
        before=Latency.of(r for r in records if scene.warm <= r.began and r.began + r.took < scene.fault_began),
        during=Latency.of(r for r in _during(scene) if id(r) not in left_out),
        after=Latency.of(r for r in records if r.began >= scene.fault_ended),
        waited=len(waited),
        longest_read=max((r.took for r in _during(scene) if not r.write), default=0.0),
        longest_write=max((r.took for r in _during(scene) if r.write), default=0.0),
        recovered=scene.recovered,
        sdk_calls=scene.sdk_calls,
    )
    verdict.inside = sum(was_inside(record, scene) for record in records)
    if case.share or case.strategy == "round_robin":
        verdict.share = _share(scene, lines)
    if log is not None:
        verdict.at_replica = sum(_was_there(record, log, scene) for record in writes)
        verdict.broken = list(_broken(case, scene, log, verdict, lines, executed))
    return verdict


def _during(scene: Scene) -> list[Record]:
    """Calls that met the fault: in flight when it began, or begun before it ended."""
    return [r for r in scene.records if r.began + r.took >= scene.fault_began and r.began < scene.fault_ended]


def _waited(record: Record, log: GatewayLog, scene: Scene) -> bool:
    way = log.ways.get(record.id)
    return way is not None and (way.attempts > 1 or any(way.endpoint == window.url for window in scene.windows))


def _was_there(record: Record, log: GatewayLog, scene: Scene) -> bool:
    """Whether the call was at a replica during its fault, and the replica was not ejected when the call was sent."""
    way = log.ways.get(record.id)
    if way is None or not log.available(way.endpoint, record.began):
        return False
    return any(
        way.endpoint == window.url and record.began < window.ended and record.began + record.took >= window.began
        for window in scene.windows
    )


def was_inside(record: Record, scene: Scene) -> bool:
    """Whether the call broke off because it was inside a process of the gateway as that was killed."""
    if record.failure is None or not record.failure.startswith(BROKE_OFF):
        return False
    return any(window.began <= record.began + record.took and record.began <= window.ended for window in scene.killed)


def _broken(
    case: Case, scene: Scene, log: GatewayLog, verdict: Verdict, lines: Sequence[Mapping[str, Any]],
    executed: Counter[str],
) -> Iterable[str]:  # fmt: skip
    received = {x.get("key") for x in lines if x["tool"] == "write"}
    failed = [r for r in scene.records if r.failure and not was_inside(r, scene)]
    reads = [r for r in failed if not r.write and not (case.begun and r.streamed)]
    if reads:
        yield f"{len(reads)} reads failed, as {_sample(reads)}"
    if twice := sum(count > 1 for count in executed.values()):
        yield f"{twice} writes were executed more than once"
    if verdict.wrong:
        yield f"{verdict.wrong} answers were to another call"
    if verdict.new_sessions:
        yield f"{verdict.new_sessions} clients had to open a new session"
    writes = [r for r in failed if r.write]
    if never_sent := [r for r in writes if r.delivered == "no"]:
        yield f"{len(never_sent)} writes failed that were never sent, as {_sample(never_sent)}"
    if untold := [r for r in writes if r.delivered not in ("no", "yes", "unknown")]:
        yield f"{len(untold)} failed writes do not say what is known of their delivery, as {_sample(untold)}"
    if lies := [r for r in writes if r.delivered == "no" and r.key in executed]:
        yield f'{len(lies)} writes said delivered "no" and were executed'
    if lies := [r for r in writes if r.delivered == "yes" and r.key not in received]:
        yield f'{len(lies)} writes said delivered "yes" and were never received'
    if elsewhere := [r for r in writes if not _was_there(r, log, scene)]:
        sample = _sample(elsewhere)
        yield f"{len(elsewhere)} writes failed that were not at a bad replica before it was left out, as {sample}"
    if lost := [r for r in scene.records if r.failure is None and r.write and not executed[r.key]]:
        yield f"{len(lost)} writes were answered and never executed"
    if scene.sdk_failures:
        yield f"{len(scene.sdk_failures)} calls of the SDK's clients failed, as {scene.sdk_failures[0]}"
    if case.read_wait is not None and verdict.longest_read > case.read_wait:
        yield f"a read waited {verdict.longest_read:.2f} s, longer than {case.read_wait:g} s"
    # Nobody knows that it is slow before its first answer: each client may wait there once, however few calls a busy
    # machine makes meanwhile.
    if case.share and verdict.share is not None and verdict.share >= SHARE and _there(scene, lines) > CLIENTS:
        yield f"the slow replica got {verdict.share:.1%} of the calls"
    if verdict.recovered is None and case.strategy != "response_time_based":  # which remembers for a minute, by design
        yield "the replica got no calls again"


def _share(scene: Scene, lines: Sequence[Mapping[str, Any]]) -> float:
    """The bad replica's share of the calls that reached replicas during the fault."""
    return _there(scene, lines) / max(1, len(_came(scene, lines)))


def _there(scene: Scene, lines: Sequence[Mapping[str, Any]]) -> int:
    """Number of calls that reached the bad replica during the fault."""
    return sum(x["name"] == scene.bad.name for x in _came(scene, lines))


def _came(scene: Scene, lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [x for x in lines if x.get("event") == "received" and scene.fault_began < x["at"] < scene.fault_ended]


def _class(record: Record) -> str:
    delivered = f", delivered {record.delivered}" if record.delivered else ""
    return f"{'write' if record.write else 'read'}: {record.failure}{delivered}"


def _sample(records: Sequence[Record]) -> str:
    first = records[0]
    return f"{first.era} {first.id} ({_class(first)})"


def _quantile(times: Sequence[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))] if times else 0.0
