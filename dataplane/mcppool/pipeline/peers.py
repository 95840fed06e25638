"""The other processes of the gateway, where `listener.workers` asks for several: what a pool shares with them.

Rates, places and sessions are kept once for all processes. What one process learns of an endpoint from its calls, it
tells the others. A pool of a gateway with one process has no peers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple, Protocol

from mcppool.cache.shared_sessions import SessionStore
from mcppool.pipeline.programs import OnProgramEvent, Programs
from mcppool.pipeline.sessions.attendance import Attendance
from mcppool.policy.token_bucket import RateLimit
from mcppool.spec import PoolSpec

OF_ONE_PROCESS: Final = "#"
"""Begins the name of a client that only the process that tells of it knows."""


class Lesson(IntEnum):
    """A fact about an endpoint that a call or a check has shown."""

    FAILED = 0
    """An attempt failed: a failure for the tool's breaker."""
    BAD = 1
    """The same, and the endpoint may be ejected for it."""
    TOOL_ANSWERED = 2
    """An attempt of a tool with a breaker got a valid answer."""
    ANSWERED = 3
    """An attempt got a valid answer, after failures of the endpoint."""
    ELSEWHERE = 4
    """Another endpoint answered a call that failed here."""
    RESTS = 5
    """The endpoint asked for a rest from such calls (`Retry-After`)."""
    CHECKED = 6
    """A check passed."""
    TOOLS_CHANGED = 7
    """A check passed, and the tools are others than before."""
    LOST = 8
    """The endpoint became unavailable."""
    FOUND = 9
    """The endpoint became available."""


class News(NamedTuple):
    """One thing that a process has learned. `client` and `origin` are those of `ClientKey`; `name` and `principal` are
    the kind of calls for which the endpoint rests, for so many `seconds`. `trial`: the attempt was the one that tries
    the endpoint, or the tool there, after its time out of use."""

    what: Lesson
    endpoint: str
    tool: str | None = None
    client: str = ""
    origin: str = ""
    name: str = ""
    principal: str = ""
    seconds: float = 0.0
    trial: bool = False


class SessionEvent(StrEnum):
    """A message of a client in its session that concerns a call, which may be in another process.

    `RESUMED`: it resumes the stream of the call after the event with this id; the answer is the id of the request.
    `CANCELLED`: it cancels the request with this id; the answer is the id that the server knows, empty if the request
    has not been sent.
    `ANSWERED`: it answers a server's question, which it knows by this id; the answer is the id that the server knows,
    empty if that server is no longer the session's home.
    """

    RESUMED = "resumed"
    CANCELLED = "cancelled"
    ANSWERED = "answered"


OnSessionEvent = Callable[[str, str, bytes], bytes | None]
"""Called with the sealed id and principal of a session, and the id that the event is about. Returns the answer, None if
this process does not know the call."""


class Limiter(Protocol):
    """A bound on calls in flight, with a bounded queue: see `ConcurrencyLimiter`."""

    max_queue: int
    capacity: int
    """Number of calls that may be inside. Whoever changes it calls `admit`."""

    @property
    def inside(self) -> int:
        """Number of calls of this process that are inside."""
        ...

    @property
    def waiting(self) -> int:
        """Number of calls of this process that wait."""
        ...

    def try_enter(self) -> bool:
        """Take a place if nobody has to be asked or waited for; otherwise take none and return False."""
        ...

    async def enter(self, until: float, *, force: bool = False) -> None:
        """Take a place; wait for one until the loop time `until`. Raises LimitReached."""
        ...

    def leave(self) -> None:
        """Give a place back."""
        ...

    def admit(self) -> None:
        """Admit waiting calls, because `capacity` may have grown."""
        ...


class TrialClaims(Protocol):
    """Claims to the trial calls of one pool. At most one process has a claim. When that process dies, the
    claim is free."""

    def claim(self, endpoint: str, tool: str) -> bool:
        """Claim the trial of an endpoint, or of a tool there; returns False if another process has the claim."""
        ...

    def give_up(self, endpoint: str, tool: str) -> None:
        """Let another process claim the trial."""
        ...


class Peers(Protocol):
    """The other processes, as one pool sees them."""

    async def take(self, limits: Sequence[RateLimit]) -> tuple[RateLimit | None, float] | None:
        """Take one token for each limit, of buckets that all processes share. Returns as `SharedRates.take` does."""
        ...

    def try_take(self, limits: Sequence[RateLimit]) -> bool:
        """Take one token for each limit from those that this process has to spare; otherwise take none and return
        False."""
        ...

    async def first_use(self, digest: bytes, seconds: int) -> bool | None:
        """Note a proof for so many seconds; returns whether no process has seen it. None if that is not known."""
        ...

    def limiter(self, name: str, key: str, capacity: int, max_queue: int) -> Limiter:
        """A concurrency limiter whose places all processes share: those with the same `key` are one."""
        ...

    def trials(self) -> TrialClaims:
        """The trial calls, which only one process makes at a time."""
        ...

    def programs(self, spec: PoolSpec, on_event: OnProgramEvent, attendance: Attendance | None) -> Programs:
        """The programs of a pool with local servers, which run once for all processes."""
        ...

    def sessions(self) -> SessionStore:
        """The facts about sessions that all processes share."""
        ...

    async def ask_others(self, event: SessionEvent, token: str, principal: str, id: bytes) -> bytes | None:
        """Let the other processes act on an event in a session; returns as `OnSessionEvent` does."""
        ...

    def on_session_event(self, event: SessionEvent, answer: OnSessionEvent) -> None:
        """Call `answer` when there is such an event at another process."""
        ...

    def tell(self, news: News) -> None:
        """Tell the other processes; returns at once."""
        ...

    def hear(self, heard: Callable[[News], None]) -> None:
        """Call `heard` with the news of the other processes."""
        ...

    def close(self) -> None:
        """Hear nothing more."""
        ...
