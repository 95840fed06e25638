"""The yardstick: a proxy that one writes in five minutes with aiohttp and uvloop. It takes turns and streams both
bodies."""

import itertools
import sys
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, TCPConnector, web

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host"}


async def proxy(request: web.Request) -> web.StreamResponse:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
    body = request.content if request.body_exists else None
    upstream = request.app[SESSION].request(request.method, next(UPSTREAMS), headers=headers, data=body)
    async with upstream as answer:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    return response


async def session(app: web.Application) -> AsyncIterator[None]:
    async with ClientSession(connector=TCPConnector(limit=0), auto_decompress=False) as app[SESSION]:
        yield


SESSION = web.AppKey("session", ClientSession)
UPSTREAMS = itertools.cycle(sys.argv[2:])
app = web.Application()
app.cleanup_ctx.append(session)
app.router.add_route("*", "/mcp", proxy)
uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
