"""The scenes of `make bench`: kinds of traffic, each with the sentence that the page shows about it.

A scene differs from a plain one in one or two respects, so that the comparison with the other shows what these cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KIB, MIB = 2**10, 2**20

TOOLS = {"json": "echo", "uvicorn": "echo_uvicorn", "node": "echo_node", "progress": "echo_progress"}
"""The tool of the upstream for each form of answer (`bench/answers.py`)."""


@dataclass(frozen=True)
class Aims:
    """Bounds on CPU time per call: the lowest ratio of the naive proxy's to ours, and the highest ratio of ours to
    our own in the scene beside."""

    naive: float | None = None
    beside: float | None = None


@dataclass(frozen=True)
class Scene:
    """One kind of traffic.

    `answer` is a key of `TOOLS`. `ids` of requests: `distinct`, `equal` (all clients use id 1, always), or `counted`
    (each client counts from 0). `heads`: `repeating`, or `varying` (a fresh `traceparent` in each call). `size` is the
    number of bytes that an answer has beyond its 300. `policies`: our gateway has every policy on, and its clients show
    a key. `beside` names the scene with which our own cost is compared.
    """

    name: str
    shows: str
    era: str = "modern"
    clients: int = 32
    answer: str = "json"
    ids: str = "distinct"
    heads: str = "repeating"
    size: int = 0
    policies: bool = False
    beside: str = ""
    aims: Aims = Aims()

    @property
    def tool(self) -> str:
        return TOOLS[self.answer]

    def load(self, sessions: Path | None) -> list[str]:
        """Return the arguments of `load.lua`; `sessions` is a file with a legacy session id for each client."""
        values: dict[str, object] = {"era": self.era, "tool": self.tool, "ids": self.ids, "heads": self.heads}
        values |= {"size": self.size, "clients": self.clients}
        if sessions is not None:
            values["sessions"] = sessions
        return [f"{name}={value}" for name, value in values.items()]


SCENES: tuple[Scene, ...] = (
    Scene(
        "json",
        "the plain case: JSON answers of 300 bytes, ids all distinct, the same head in each call",
        aims=Aims(naive=4),
    ),
    Scene(
        "equal ids",
        "every client uses id 1, as load tools do that repeat one body",
        ids="equal", beside="json", aims=Aims(beside=1.05),
    ),
    Scene(
        "counted ids",
        "each client counts its ids from 0, as the SDKs do, so that ids of calls in flight coincide",
        ids="counted", beside="json", aims=Aims(beside=1.05),
    ),
    Scene(
        "varying heads",
        "a fresh `traceparent` in each call, as clients with tracing send it",
        heads="varying", beside="json", aims=Aims(beside=1.15),
    ),
    Scene(
        "every policy",
        "rates, limits, access rules, an audit log in a file and API keys: in mcppool only",
        policies=True, beside="json", aims=Aims(naive=4),
    ),
    Scene(
        "sse",
        "event streams of one event, written in three parts as uvicorn and the Python SDK do",
        answer="uvicorn", beside="json", aims=Aims(naive=3.5, beside=1.25),
    ),
    Scene(
        "sse of node",
        "event streams of one event, written in one part as Node and the TypeScript SDK do",
        answer="node", beside="json", aims=Aims(naive=3.5, beside=1.25),
    ),
    Scene("progress", "two progress events precede the answer in its stream", answer="progress", beside="sse"),
    Scene(
        "legacy",
        "a session for each client, JSON answers",
        era="legacy", beside="json", aims=Aims(beside=1.08),
    ),
    Scene(
        "everyday",
        "the traffic of today's SDKs: sessions, event streams of one event, ids counted from 0; the load generator "
        "sends each call in the next session, whatever its connection, which costs 3 % that SDKs do not cause",
        era="legacy", answer="uvicorn", ids="counted", beside="sse", aims=Aims(beside=1.08),
    ),
    Scene(
        "1 client",
        "one client with one call at a time: the latency that each target adds",
        clients=1, beside="json",
    ),
    Scene(
        "256 clients",
        "more clients than the 150 connections to the endpoints: most calls wait for one; with enough of them a call "
        "costs less than in `json`",
        clients=256, beside="json",
    ),
    Scene("64 KiB", "answers as large as a long page of text", size=64 * KIB),
    Scene("64 KiB sse", "the same as event streams of one event", size=64 * KIB, answer="uvicorn", beside="64 KiB"),
    Scene("1 MiB", "answers as large as an image", size=MIB, clients=8),
    Scene("1 MiB sse", "the same as event streams of one event", size=MIB, clients=8, answer="uvicorn", beside="1 MiB"),
    # Last, because the naive proxy works on closed connections for a while afterwards, and the next load waits for it.
    Scene("1024 clients", "many clients at once; each round opens all connections anew", clients=1024, beside="json"),
    Scene(
        "1024 sessions",
        "many clients at once, each with a session, event streams and counted ids",
        era="legacy", clients=1024, answer="uvicorn", ids="counted", beside="everyday",
    ),
)  # fmt: skip
QUICK = ("json", "sse")


def named(names: Sequence[str]) -> list[Scene]:
    """Return these scenes, in the order of the page."""
    return [scene for scene in SCENES if scene.name in names]
