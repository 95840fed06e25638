"""The era of a program, found out on processes of its own.

A process is asked `server/discover`. If anything but an answer comes (an error, an exit, silence), a new process is
asked to `initialize`: some programs exit at an unknown first message, and others never answer it. All replicas share
the finding, because they run the same program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.stdio.conversation import Callers, Conversation, ask
from mcppool.upstream.timeouts import within
from mcppool.version import __version__
from mcppool.wire.errors import INTERNAL_ERROR, BadEnvelope
from mcppool.wire.members import readable
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.rpc_response import parse_response
from mcppool.wire.versions import (
    LATEST_LEGACY,
    LATEST_MODERN,
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_PROTOCOL_VERSION,
)

SILENCE = 5.0
"""Seconds without an answer to `server/discover` before a second process is asked to initialize. The first may still
answer: the gateway waits for both."""

START_PATIENCE = 120.0
"""Seconds for the first answer of a program; some download themselves before they run."""

OURSELVES: Mapping[str, str] = {"name": "mcppool", "version": __version__}
INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'

Spawn = Callable[[Callers], Awaitable[Conversation]]


@dataclass(slots=True)
class EraFinding:
    """The era of a program: whether it is the modern one, None while that is unknown."""

    modern: bool | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Main:
    """A replica's first process. `greeting` is its answer to `initialize`, None in the modern era."""

    conversation: Conversation
    greeting: bytes | None


class _Discover(msgspec.Struct):
    supportedVersions: list[str]  # noqa: N815 (the wire's spelling)


class _DiscoverAnswer(msgspec.Struct):
    result: _Discover


async def begin(spawn: Spawn, finding: EraFinding, client: Mapping[str, str] = OURSELVES) -> Main:
    """A process of the program that is ready for requests in its era.

    Raises OSError if it cannot be run, ConnectionLost if it ends or does not answer.
    """
    if finding.modern is None:
        async with finding.lock:  # one replica finds out for all
            if finding.modern is None:
                return await _find(spawn, finding, client)
    try:
        if finding.modern:
            return await _modern(await spawn(Callers.STATELESS))
        return await _initialize(await spawn(Callers.SHARED), client)
    except ConnectionLost:
        finding.modern = None  # the program may have changed since
        raise


async def _modern(conversation: Conversation) -> Main:
    """A process of a program of the modern era, once it is ready."""
    try:
        async with within(START_PATIENCE):
            verdict = await _discover(conversation)
    except TimeoutError:
        verdict = "silent"
    if verdict != "modern":
        ended = conversation.process.end if conversation.process.ended.is_set() else "it did not answer"
        raise ConnectionLost(f"server/discover, which the program has answered before: {ended}")
    return Main(conversation, None)


async def _find(spawn: Spawn, finding: EraFinding, client: Mapping[str, str]) -> Main:
    first = await spawn(Callers.STATELESS)
    discovering = asyncio.create_task(_discover(first), name="server/discover")
    initializing: asyncio.Task[Main] | None = None
    try:
        await asyncio.wait({discovering}, timeout=SILENCE)
        if not _says(discovering, "modern"):
            initializing = asyncio.create_task(_fresh_legacy(spawn, client), name="initialize")
            await asyncio.wait(
                {initializing} if discovering.done() else {initializing, discovering},
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not initializing.done() and not _says(discovering, "modern"):
                await asyncio.wait({initializing})
        if _says(discovering, "modern"):
            finding.modern = True
            return Main(first, None)
        assert initializing is not None
        main = initializing.result()
        # A passing fault is possible, so the next start asks again.
        finding.modern = None if _says(discovering, "unclear") else False
        return main
    finally:
        await _give_up(discovering, initializing)
        if finding.modern is not True:
            await first.process.stop()
        elif initializing is not None and not initializing.cancelled() and initializing.exception() is None:
            await initializing.result().conversation.process.stop()


async def _fresh_legacy(spawn: Spawn, client: Mapping[str, str]) -> Main:
    conversation = await spawn(Callers.SHARED)
    try:
        return await _initialize(conversation, client)
    except BaseException:
        await asyncio.shield(conversation.process.stop())
        raise


def _says(discovering: asyncio.Task[str], verdict: str) -> bool:
    return discovering.done() and discovering.result() == verdict


async def _give_up(*tasks: asyncio.Task[str] | asyncio.Task[Main] | None) -> None:
    there = [task for task in tasks if task is not None]
    for task in there:
        task.cancel()
    await asyncio.gather(*there, return_exceptions=True)


async def _discover(conversation: Conversation) -> str:
    """`modern`, `legacy`, or `unclear`: twice an error that a good server may give for a moment."""
    meta = {META_PROTOCOL_VERSION: LATEST_MODERN, META_CLIENT_INFO: OURSELVES, META_CLIENT_CAPABILITIES: {}}
    body = _request("server/discover", {"_meta": meta})
    request = parse_request(body)
    verdict = "legacy"
    for _ in range(2):
        try:
            answer = await ask(conversation, request, body)
            message = parse_response(answer)
        except (ConnectionLost, BadEnvelope):
            return "legacy"
        if not message.is_error:
            try:
                versions = msgspec.json.decode(readable(answer), type=_DiscoverAnswer).result.supportedVersions
            except msgspec.MsgspecError:
                return "legacy"
            return "modern" if LATEST_MODERN in versions else "legacy"
        if message.error_code != INTERNAL_ERROR:
            return "legacy"
        verdict = "unclear"
    return verdict


async def _initialize(conversation: Conversation, client: Mapping[str, str]) -> Main:
    params = {"protocolVersion": LATEST_LEGACY, "capabilities": {}, "clientInfo": client}
    return Main(conversation, await greet(conversation, _request("initialize", params)))


async def greet(conversation: Conversation, body: bytes) -> bytes:
    """The handshake of a process that several sessions share, and its answer. Raises ConnectionLost without one."""
    try:
        async with within(START_PATIENCE):
            answer = await ask(conversation, parse_request(body), body)
    except TimeoutError:
        raise ConnectionLost(f"the program did not answer initialize within {START_PATIENCE:g} s") from None
    message = parse_response(answer)
    if message.is_error:
        raise ConnectionLost(f"the program answered initialize with error {message.error_code}")
    await conversation.process.send(INITIALIZED)
    return answer


def _request(method: str, params: Mapping[str, object]) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 0, "method": method, "params": params})
