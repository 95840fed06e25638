"""A session whose endpoint is gone, or has forgotten it, goes on elsewhere (DESIGN §3, `sessions.on_loss`).

`reinitialize`: a fresh upstream session is made with the client's own parameters, its log level and subscriptions are
set again where we know them, and the call is repeated as far as its class allows. `fail`: the protocol's 404, on which
a client opens a new session itself.
"""

from __future__ import annotations

import asyncio
import time
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from mcppool.observe.logs import get_logger
from mcppool.pipeline.sessions import Session
from mcppool.upstream.failures import AttemptFailed, NoEndpoint, SessionGone
from mcppool.upstream.probe import ProbeFailed, open_legacy, open_probe

if TYPE_CHECKING:
    from mcppool.pipeline.pool import Pool
    from mcppool.upstream.endpoint import Endpoint

log = get_logger("session")


async def home_of(pool: Pool, session: Session, tried: tuple[Endpoint, ...]) -> Endpoint:
    """The endpoint where the session lives, after moving it away from one that is lost, left out or among `tried`.

    Raises SessionGone where it cannot or may not move, NoEndpoint where there is nobody to move to.
    """
    endpoint = pool.holder(session.endpoint)
    stays = pool.spec.sessions.on_loss == "fail"
    if endpoint is None or endpoint.lost is not None or endpoint in tried:
        if stays:
            raise SessionGone(f"the session's endpoint {session.endpoint} is gone")
        return await move(pool, session, tried)
    if stays or endpoint.available or endpoint in pool.candidates or not pool.candidates:
        return endpoint
    # It leaves, or answers badly: a write that went there could fail. Where the session cannot move, it may still do.
    try:
        return await move(pool, session, tried)
    except AttemptFailed:
        return endpoint


async def move(pool: Pool, session: Session, tried: tuple[Endpoint, ...]) -> Endpoint:
    """Give the session a new home besides `tried`; all its calls wait for the one move that is under way."""
    if session.claims.capabilities is None:
        raise SessionGone("the client's capabilities were too large to be kept in the id of its session")
    if session.moving is None:
        session.moving = asyncio.create_task(_move(pool, session, tried), name="session move")
        session.moving.add_done_callback(lambda _: _moved(session))
    return await asyncio.shield(session.moving)


def _moved(session: Session) -> None:
    task, session.moving = session.moving, None
    if task is not None and not task.cancelled():
        task.exception()  # whoever waited has it; if nobody waits any more, nobody misses it


async def _move(pool: Pool, session: Session, tried: tuple[Endpoint, ...]) -> Endpoint:
    while True:
        candidates = pool.others(tried)
        if not candidates:
            raise NoEndpoint("there is no endpoint that could take the session over")
        endpoint = pool.pick(candidates, monotonic())
        try:
            async with asyncio.timeout(pool.spec.health_check.timeout + pool.spec.connection_pool.connection_timeout):
                await _open_at(pool, session, endpoint)
        except (AttemptFailed, ProbeFailed, TimeoutError) as error:
            log.event("session_move_failed", pool=pool.name, endpoint=endpoint.key, why=str(error) or "not in time")
            tried = (*tried, endpoint)
            continue
        return endpoint


async def _open_at(pool: Pool, session: Session, endpoint: Endpoint) -> None:
    """The handshake with the client's own parameters, and what the old session knew."""
    claims = session.claims
    old = session.endpoint
    await pool.witness(endpoint)
    async with open_probe(endpoint, pool.spec.connection_pool.connection_timeout) as probe:
        opened = await open_legacy(
            probe,
            version=claims.version,
            capabilities=msgspec.Raw(claims.capabilities or b"{}"),
            client={"name": claims.client_name, "version": claims.client_version},
        )
        if session.log_level is not None:
            await probe.legacy(opened, "logging/setLevel", level=session.log_level)
        for uri in list(session.subscriptions):
            await probe.legacy(opened, "resources/subscribe", uri=uri)
    session.settle(endpoint.key, opened.id or "", time.time())
    log.event("session_moved", pool=pool.name, old=old, endpoint=endpoint.key)
