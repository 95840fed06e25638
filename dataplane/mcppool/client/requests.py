"""One request of a program and its result, in the era of the pool's servers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from math import isnan
from time import monotonic
from typing import Any

import msgspec

from mcppool.client.answer import Answer, OnMessage, ignore, result_of
from mcppool.client.caller import Caller
from mcppool.client.errors import CallFailed, InputRequired, RpcError
from mcppool.client.messages import legacy_lines, modern_lines, request_bytes
from mcppool.client.results import typed
from mcppool.client.server_info import ServerInfo, info_of_discover
from mcppool.client.warm_sessions import WarmSession, WarmSessions
from mcppool.pipeline.sessions.session import Session
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.timeouts import within
from mcppool.wire.era import Era
from mcppool.wire.errors import METHOD_NOT_FOUND, Reason, error_body
from mcppool.wire.members import UNREADABLE
from mcppool.wire.rpc_response import parse_response
from mcppool.wire.versions import (
    LATEST_MODERN,
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_PROGRESS_TOKEN,
    META_PROTOCOL_VERSION,
)

OnProgress = Callable[[float, float | None, str | None], Awaitable[None] | None]
"""Called with progress, total and message of the server's reports. An exception in it ends the call."""

MAX_SESSIONS = 3  # for one call, if servers do not know the sessions that they have opened


MAX_ROUNDS = 10  # of one call that a server postpones without asking for input (as in the SDKs)
POSTPONED = 0.05  # seconds before the second of these rounds; doubled up to five times

UNREACHABLE = 2.0
"""Seconds that a call waits while no server answers. For a starting server it waits until its deadline."""

LOOK = 0.25
"""Seconds between two checks whether a server is still starting."""


class _Progress(msgspec.Struct):
    progress: float
    progressToken: int | str  # noqa: N815 (the wire's spelling)
    total: float | None = None
    message: str | None = None


class _Notification(msgspec.Struct):
    method: str
    params: _Progress


_progress = msgspec.json.Decoder(_Notification).decode


class Requests:
    """Sends the requests of one running pool."""

    def __init__(
        self, caller: Caller, sessions: WarmSessions, info: Mapping[str, str], capabilities: Mapping[str, Any]
    ) -> None:
        self._caller = caller
        self._pool = caller.pool
        self._sessions = sessions
        self._meta = {
            META_PROTOCOL_VERSION: LATEST_MODERN,
            META_CLIENT_INFO: info,
            META_CLIENT_CAPABILITIES: capabilities,
        }

    async def finish(
        self,
        method: str,
        params: dict[str, Any],
        timeout: float | None,
        progress: OnProgress | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The result of a request that the server may answer with a request for input.

        An answer that asks for nothing comes from a server under load, which wants the call again later. Raises
        CallFailed, RpcError or InputRequired.
        """
        wait = POSTPONED
        for last in (*[False] * (MAX_ROUNDS - 1), True):
            result = await self.send(method, params, timeout, progress, headers or {})
            if result.get("resultType") != "input_required":
                break
            state = result.get("requestState")
            if last or result.get("inputRequests") or not isinstance(state, str):
                import mcp_types

                raise InputRequired(typed(mcp_types.InputRequiredResult, result))
            params = {**params, "requestState": state}
            params.pop("inputResponses", None)
            await asyncio.sleep(wait)
            wait = min(2 * wait, 5 * POSTPONED)
        return result

    async def send(
        self,
        method: str,
        params: Mapping[str, Any],
        timeout: float | None,
        progress: OnProgress | None,
        param_headers: Mapping[str, str],
    ) -> dict[str, Any]:
        """The unchanged result. Raises CallFailed or RpcError."""
        _check_seconds(timeout)
        started = monotonic()
        await self._know_era(timeout)
        if not self._pool.settings.catalog.legacy:
            return await self._modern(method, params, timeout, progress, param_headers)
        try:
            async with within(timeout):
                for _ in range(MAX_SESSIONS - 1):
                    try:
                        return await self._legacy(method, params, timeout, progress)
                    except CallFailed as failure:
                        if failure.reason is not Reason.SESSION_LOST:
                            raise
                return await self._legacy(method, params, timeout, progress)
        except TimeoutError:
            if timeout is None or monotonic() - started < timeout:
                raise  # of a callback
            raise CallFailed(Reason.TIMEOUT, delivered="unknown", attempts=1) from None

    async def describe(self, timeout: float | None) -> ServerInfo:
        """The description of one of the servers. Raises CallFailed or RpcError."""
        _check_seconds(timeout)
        await self._know_era(timeout)
        if not self._pool.settings.catalog.legacy:
            return info_of_discover(await self._modern("server/discover", {}, timeout, None, {}))
        if self._sessions.described is None:
            self._sessions.give_back(await self._sessions.lease())
        assert self._sessions.described is not None  # a lease has a handshake behind it
        return self._sessions.described

    async def _know_era(self, timeout: float | None) -> None:
        """Wait until the servers' era is known: a legacy server might execute a request that it half understands."""
        pool = self._pool
        if not pool.settings.catalog.cold:
            return
        began = monotonic()
        limit = began + (pool.spec.timeouts.request if timeout is None else timeout)
        patience = began + UNREACHABLE
        while pool.settings.catalog.cold:
            now = monotonic()
            starting = any(map(_starts, pool.endpoints.values()))
            if now >= limit or (now >= patience and not starting):
                raise CallFailed(
                    Reason.NO_CATALOG, delivered="no", attempts=0, retry_after=UNREACHABLE, cause=pool.outage.describe()
                )
            with suppress(TimeoutError):
                async with within(min(limit - now, LOOK)):
                    await pool.warm.wait()

    async def _modern(
        self,
        method: str,
        params: Mapping[str, Any],
        timeout: float | None,
        progress: OnProgress | None,
        param_headers: Mapping[str, str],
    ) -> dict[str, Any]:
        id = self._caller.next_id()
        meta = {**self._meta, **params.get("_meta", {})}
        if progress is not None:
            meta[META_PROGRESS_TOKEN] = id
        body = request_bytes(id, method, {**params, "_meta": meta})
        answer = Answer(_reporter(id, progress))
        lines = modern_lines(method, params, param_headers)
        outcome = await self._caller.send(body, lines, Era.MODERN, answer, timeout=timeout)
        return result_of(answer, b"%d" % id, outcome)

    async def _legacy(
        self, method: str, params: Mapping[str, Any], timeout: float | None, progress: OnProgress | None
    ) -> dict[str, Any]:
        started = monotonic()
        id = self._caller.next_id()
        if progress is not None:
            params = {**params, "_meta": {**params.get("_meta", {}), META_PROGRESS_TOKEN: id}}
        body = request_bytes(id, method, params)
        warm = await self._sessions.lease()
        report = _reporter(id, progress)

        async def take(message: bytes) -> None:
            if parse_response(message).kind == "request":
                await self._refuse(warm, message)
            else:
                await report(message)

        answer = Answer(take)
        clean = False
        try:
            outcome = await self._caller.send(
                body, warm.lines, Era.LEGACY, answer, session=warm.session, timeout=timeout
            )
            if warm.session is not None and answer.body is None:
                await self._come_back(
                    warm.session, warm.version, answer, started + self._limit(method, params, timeout)
                )
            if answer.status == 404 and warm.session is not None:
                raise CallFailed(Reason.SESSION_LOST, delivered="no", attempts=outcome.attempts)
            result = result_of(answer, b"%d" % id, outcome)
            clean = True
        except RpcError:
            clean = True  # an error is an answer, too
            raise
        finally:
            self._sessions.give_back(warm, abandoned=None if clean else id)
        return result

    def _limit(self, method: str, params: Mapping[str, Any], timeout: float | None) -> float:
        """Seconds for the whole call."""
        if timeout is not None:
            return timeout
        return (
            self._pool.settings.tools.of(params["name"]).timeout
            if method == "tools/call"
            else self._pool.spec.timeouts.request
        )

    async def _come_back(self, session: Session, version: str, answer: Answer, until: float) -> None:
        """Resume a stream that its server has ended on purpose; until `until` at most, a monotonic time."""
        try:
            async with within(until - monotonic()):
                await self._caller.come_back(session, version, answer)
        except TimeoutError:
            if monotonic() < until:
                raise  # of a callback
            raise CallFailed(Reason.TIMEOUT, delivered="yes", attempts=1) from None

    async def _refuse(self, warm: WarmSession, message: bytes) -> None:
        """A server asks something in the middle of a call. The pool has declared no capability, so it only answers
        pings."""
        asked = parse_response(message)
        if asked.method == "ping":
            body = b'{"jsonrpc":"2.0","id":%b,"result":{}}' % (asked.id or b"null")
        else:
            body = error_body(asked.id, METHOD_NOT_FOUND, f"{asked.method} is not supported by this client")
        await self._caller.send(body, legacy_lines(warm.version), Era.LEGACY, Answer(), session=warm.session)


def _starts(endpoint: Endpoint) -> bool:
    """Whether no check of it has passed or failed yet."""
    return not endpoint.lost and endpoint.stats.failed_checks == 0


def _reporter(id: int, progress: OnProgress | None) -> OnMessage:
    """Takes the notifications of a request: reports its progress, drops the others."""
    if progress is None:
        return ignore

    async def report(message: bytes) -> None:
        try:
            notification = _progress(message)
        except UNREADABLE:
            return
        seen = notification.params
        if notification.method == "notifications/progress" and seen.progressToken == id:
            waiting = progress(seen.progress, seen.total, seen.message)
            if inspect.isawaitable(waiting):
                await waiting

    return report


def _check_seconds(timeout: float | None) -> None:
    """Refuse a time-out that would never be over. Raises ValueError."""
    if timeout is not None and (not isinstance(timeout, int | float) or isnan(timeout)):
        raise ValueError(f"timeout: {timeout!r} is not a number of seconds")
