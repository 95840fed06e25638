"""An access token of the gateway, kept valid."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mcppool.pipeline.pool import access_token
from mcppool.pipeline.pool.access_token import AccessToken
from mcppool.upstream.failures import NoCredentials
from mcppool.upstream.oauth.token_response import Token, TokenUnavailable
from tests.waiting import until


class Issuer:
    """Gives `answers`, one after another, and the last one for ever."""

    def __init__(self, *answers: Token | str) -> None:
        self.answers = list(answers)
        self.fetches = 0
        self.at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self) -> Token:
        self.fetches += 1
        self.at_once += 1
        assert self.at_once == 1
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise TokenUnavailable(answer)
        return answer


@asynccontextmanager
async def kept(issuer: Issuer) -> AsyncIterator[AccessToken]:
    token = AccessToken("p", issuer.fetch, lambda: None)
    token.start()
    try:
        yield token
    finally:
        await token.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_token, "BACKOFF", 0.01)
    monkeypatch.setattr(access_token, "MAX_BACKOFF", 0.02)


async def test_calls_before_the_first_token_wait_for_one_fetch() -> None:
    issuer = Issuer(Token("t-1", 3600))
    issuer.gate.clear()
    async with kept(issuer) as token:
        waiting = [asyncio.create_task(token.obtain()) for _ in range(20)]
        await until(lambda: issuer.fetches, "it is being fetched")
        assert not any(task.done() for task in waiting)
        issuer.gate.set()
        await asyncio.gather(*waiting)
        assert (token.line, token.missing, issuer.fetches) == (b"authorization: Bearer t-1\r\n", None, 1)


async def test_without_a_token_the_reason_is_reported_and_nothing_is_sent() -> None:
    issuer = Issuer("the issuer is away", "the issuer is away", Token("t-1", 3600))
    async with kept(issuer) as token:
        with pytest.raises(NoCredentials, match="no access token: the issuer is away") as caught:
            await token.obtain()
        assert (caught.value.sent, token.line) == (False, b"")
        await until(lambda: token.missing is None, "it is tried again")
        await token.obtain()
        assert issuer.fetches == 3


async def test_a_token_is_renewed_before_it_ends() -> None:
    issuer = Issuer(Token("t-1", 0.4), Token("t-2", 3600))
    async with kept(issuer) as token:
        await token.obtain()
        before = token.line
        await until(lambda: b"t-2" in token.line, "it is renewed")
        assert b"t-1" in before
        assert token.missing is None


async def test_a_token_that_cannot_be_renewed_is_sent_until_its_end_and_no_longer() -> None:
    issuer = Issuer(Token("t-1", 0.5), "the issuer is away")
    async with kept(issuer) as token:
        await token.obtain()
        await until(lambda: issuer.fetches > 1, "its renewal fails")
        await until(lambda: token.missing is not None, "its end")
        assert token.line == b""
        with pytest.raises(NoCredentials):
            await token.obtain()


async def test_a_token_that_servers_refuse_is_renewed_once_and_not_for_each_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer = Issuer(Token("t-1", 3600), Token("t-2", 3600))
    async with kept(issuer) as token:
        await token.obtain()
        sent = time.monotonic()
        assert not token.refused(sent), "it is too young for that to be the cause"
        monkeypatch.setattr(access_token, "MIN_AGE", 0.0)
        issuer.gate.clear()
        assert [token.refused(sent) for _ in range(10)] == [True] * 10
        assert (token.line, token.missing) == (b"authorization: Bearer t-1\r\n", None), "other servers accept it"
        monkeypatch.setattr(access_token, "MIN_AGE", 10.0)
        issuer.gate.set()
        await token.settle()
        assert (token.line, issuer.fetches) == (b"authorization: Bearer t-2\r\n", 2)
        assert token.refused(sent), "that request had the token before"
        assert not token.refused(time.monotonic())
        assert issuer.fetches == 2


async def test_a_server_that_refuses_everything_does_not_make_the_issuer_busy_nor_the_token_useless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer = Issuer(Token("t-1", 3600), "the issuer is away")
    async with kept(issuer) as token:
        await token.obtain()
        monkeypatch.setattr(access_token, "MIN_AGE", 0.0)
        assert token.refused(time.monotonic())
        monkeypatch.setattr(access_token, "MIN_AGE", 10.0)
        monkeypatch.setattr(access_token, "BACKOFF", 100.0)
        monkeypatch.setattr(access_token, "MAX_BACKOFF", 100.0)
        await token.settle()
        assert not any(token.refused(time.monotonic()) for _ in range(10))
        assert (token.line, token.missing) == (b"authorization: Bearer t-1\r\n", None)


async def test_nobody_waits_for_a_fetch_that_was_given_up() -> None:
    issuer = Issuer(Token("t-1", 3600))
    issuer.gate.clear()
    async with kept(issuer) as token:
        waiting = asyncio.create_task(token.obtain())
        await until(lambda: issuer.fetches, "it is being fetched")
        await token.stop()
        with pytest.raises(NoCredentials):
            await waiting
