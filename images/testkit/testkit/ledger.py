"""The ledger of the servers' writes: it shows whether one was done twice, or not at all.

`POST /ID` records one. `POST /counts` returns the number of records of each id of a JSON list, as a JSON object.
"""

from __future__ import annotations

import os
from collections import Counter

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ADDRESS = os.environ.get("LEDGER", "http://ledger:8000")


def serve(host: str, port: int) -> None:
    """Keep the ledger in memory until stopped."""
    noted: Counter[str] = Counter()

    async def note(request: Request) -> Response:
        noted[request.path_params["id"]] += 1
        return Response(status_code=204)

    async def counts(request: Request) -> Response:
        return JSONResponse({id: noted[id] for id in await request.json()})

    routes = [Route("/counts", counts, methods=["POST"]), Route("/{id}", note, methods=["POST"])]
    uvicorn.run(Starlette(routes=routes), host=host, port=port, log_level="warning")


class Ledger:
    """The ledger, for a server that records and a client that asks."""

    def __init__(self) -> None:
        self._http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(retries=3), timeout=20)

    async def note(self, id: str) -> None:
        """Note one write."""
        (await self._http.post(f"{ADDRESS}/{id}")).raise_for_status()

    async def counts(self, ids: list[str]) -> dict[str, int]:
        """Return the number of times that each of these writes was done."""
        answer = await self._http.post(f"{ADDRESS}/counts", json=ids)
        found: dict[str, int] = answer.raise_for_status().json()
        return found
