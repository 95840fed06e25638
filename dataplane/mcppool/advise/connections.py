"""`connection_pool`: the floor and the ceiling of connections to one endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mcppool.advise.advice import Advice, ProposedChange
from mcppool.advise.facts import PoolFacts

ENOUGH_SECONDS: Final = 120.0
"""Seconds of figures below which nothing is said."""

FULL: Final = 0.8
"""Share of the ceiling from which it is taken for the reason why calls wait."""

GROWTH: Final = 4
"""Largest step: a backlog of calls makes the need look larger than it is."""

IDLE: Final = 4
"""The floor is too high if at most one part in so many was in use."""

FEW: Final = 20
"""Open connections of a pool that are too few to matter."""

CEILING, FLOOR = "connection_pool.max_connections", "connection_pool.min_connections"


def connections(facts: PoolFacts) -> Iterator[Advice]:
    """Advice on the ceiling if calls wait for connections, and on the floor if it is far from the usual need."""
    endpoints = sum(endpoint.available for endpoint in facts.endpoints)
    ceiling, floor = facts.number(CEILING), facts.number(FLOOR)
    if not endpoints or ceiling is None or floor is None or facts.covered < ENOUGH_SECONDS:
        return
    peak = -(-facts.peak // endpoints)
    usual = -(-facts.usual(facts.in_flight, 0.9) // endpoints)
    waiting = max(facts.waiting, default=0)
    burst = facts.peak - int(ceiling) * endpoints  # a call in flight has a connection, or waits for one
    figures: dict[str, float | str] = {
        "calls in flight for each endpoint, at most": peak,
        "in nine of ten slots": usual,
    }
    if (waiting and peak >= FULL * ceiling) or burst > 0:
        wanted = -(-(facts.peak + (waiting if burst <= 0 else 0)) // endpoints)
        proposed = min(2 * wanted, GROWTH * int(ceiling))
        yield Advice(
            facts.name, "connections.ceiling", (ProposedChange(CEILING, int(ceiling), proposed),),
            "Calls wait for a connection while every connection is in use.",
            {**figures, "calls that waited, at least": max(waiting, burst)},
            "Calls no longer wait for a connection.",
            "Can each server handle so many calls at a time?",
        )  # fmt: skip
    elif usual > floor:
        yield Advice(
            facts.name, "connections.floor", (ProposedChange(FLOOR, int(floor), min(usual, int(ceiling))),),
            "More connections are usually in use than stay open, so that calls open connections again and again.",
            figures, "Fewer calls wait until a connection is open.",
        )  # fmt: skip
    elif floor * endpoints >= FEW and peak * IDLE <= floor:
        yield Advice(
            facts.name, "connections.floor", (ProposedChange(FLOOR, int(floor), max(1, 2 * peak)),),
            "Many more connections stay open than are ever in use.",
            {**figures, "connections that stay open": int(floor) * endpoints},
            f"{(int(floor) - max(1, 2 * peak)) * endpoints} fewer idle connections at the servers.",
        )  # fmt: skip
