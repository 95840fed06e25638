"""Requests to an authorization server: few, small and short, so aiohttp serves (decision 0015)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import Final, NamedTuple

from mcppool.tls_failure import tls_failure
from mcppool.tls_files import UnusableTlsFile, client_context
from mcppool.upstream.oauth.token_response import TokenUnavailable

MAX_BODY: Final = 64 * 1024  # bytes of an answer
PATIENCE: Final = 10.0  # seconds for one request, connecting included


class IssuerAnswer(NamedTuple):
    """An answer, whole."""

    status: int
    body: bytes


async def send(
    url: str,
    ca_file: str | None,
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> IssuerAnswer:
    """GET `url`, or POST a `form` to it. A redirect is an answer like any other.

    Raises TokenUnavailable if there is no answer, or one that is too large.
    """
    # In a thread, because the loop would stand still for as long as the first import takes.
    await asyncio.to_thread(import_module, "aiohttp")
    import aiohttp

    context = None
    if url.startswith("https:"):
        try:
            context = await asyncio.to_thread(client_context, ca_file)
        except UnusableTlsFile as error:
            raise TokenUnavailable(f"the authorities for the issuer cannot be read from {error}") from error
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=PATIENCE),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"accept": "application/json", "accept-encoding": "identity", **(headers or {})},
            ) as session,
            session.request(
                "GET" if form is None else "POST",
                url,
                data=form,
                allow_redirects=False,
                ssl=True if context is None else context,
            ) as response,
        ):
            body = bytearray()
            async for chunk in response.content.iter_chunked(8192):
                body += chunk
                if len(body) > MAX_BODY:
                    raise TokenUnavailable(f"{url} answers with more than {MAX_BODY} bytes")
            return IssuerAnswer(response.status, bytes(body))
    except TimeoutError as error:
        raise TokenUnavailable(f"{url} does not answer within {PATIENCE:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise TokenUnavailable(f"{url} cannot be asked: {tls_failure(error) or error}") from error
