"""Health checks of a gateway with several processes: one of them checks a sound endpoint for all.

Each process has its own timers. The one whose timer ends first makes the check and tells the others, which put theirs
off. When an endpoint becomes available or unavailable in one process, or has other tools, the others check it at once.
So each process acts on its own checks only, and news that is lost costs nothing but a check.
"""

from __future__ import annotations

from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.peers import Lesson, News, Peers
from mcppool.pipeline.probers import Probers
from mcppool.upstream.endpoint import Endpoint


class SharedChecks:
    """The checks of one pool, as the other processes hear of them and tell of theirs."""

    def __init__(self, peers: Peers | None, endpoints: Endpoints, probers: Probers) -> None:
        self._peers = peers
        self._endpoints = endpoints
        self._probers = probers
        if peers is not None:
            peers.hear(self._heard)

    def passed(self, endpoint: Endpoint, tools_changed: bool) -> None:
        """A check has passed here."""
        self._tell(Lesson.TOOLS_CHANGED if tools_changed else Lesson.CHECKED, endpoint)

    def changed(self, endpoint: Endpoint) -> None:
        """The state of an endpoint has changed here."""
        self._tell(Lesson.LOST if endpoint.lost else Lesson.FOUND, endpoint)

    def _tell(self, what: Lesson, endpoint: Endpoint) -> None:
        if self._peers is not None:
            self._peers.tell(News(what, endpoint.key))

    def _heard(self, news: News) -> None:
        endpoint = self._endpoints.get(news.endpoint)
        prober = self._probers.get(endpoint) if endpoint is not None else None
        if endpoint is None or prober is None:
            return
        match news.what:
            case Lesson.CHECKED if not endpoint.lost:
                prober.passed_elsewhere()
            case Lesson.TOOLS_CHANGED:
                endpoint.wake_prober()
            case Lesson.LOST if not endpoint.lost:
                endpoint.wake_prober()
            case Lesson.CHECKED | Lesson.FOUND if endpoint.lost:
                endpoint.wake_prober()
