"""The number of replicas: `replicas` of a local server, or the length of the list of endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mcppool.advise.advice import Advice, ProposedChange, percent
from mcppool.advise.facts import PoolFacts

ENOUGH_SECONDS: Final = 300.0
BUSY, IDLE = 0.8, 0.2
"""Shares of the places in use from which there are too few, or too many, replicas."""

AIM: Final = 0.6
"""Share of the places in use that is aimed at: there is room for a burst, and for the loss of a replica."""

PLACES, REPLICAS = "limits.endpoint.max_concurrent", "replicas"


def replicas(facts: PoolFacts) -> Iterator[Advice]:
    """Advice if the endpoints are always full, or almost always idle. Without `limits.endpoint` nobody knows what an
    endpoint can take: then only a local server with more processes than calls is too large."""
    count = sum(endpoint.available for endpoint in facts.endpoints)
    places, processes = facts.number(PLACES), facts.number(REPLICAS)
    if not count or facts.covered < ENOUGH_SECONDS or not facts.calls:
        return
    usual, peak = facts.usual(facts.in_flight, 0.9), facts.peak
    figures: dict[str, float | str] = {
        "replicas": count,
        "calls in flight in nine of ten slots": usual,
        "at most": peak,
    }
    key = REPLICAS if processes is not None else "endpoints"
    if places:
        used = usual / (count * places)
        wanted = max(2, -(-int(usual * 100) // int(AIM * 100 * places)))
        figures = {**figures, "places in use": percent(used)}
        if used >= BUSY and wanted > count:
            yield Advice(
                facts.name, "replicas.few", (ProposedChange(key, count, wanted),),
                "Most places of the endpoints are always in use.",
                figures, f"About {percent(usual / (wanted * places))} of the places are in use, with room for a burst.",
            )  # fmt: skip
        elif used <= IDLE and wanted < count and peak <= places * wanted:
            yield Advice(
                facts.name, "replicas.many", (ProposedChange(key, count, wanted),),
                "Most places of the endpoints are never in use.",
                figures, f"{count - wanted} fewer replicas; one may still die unnoticed.",
                "Is the load the same at other times of the day?",
            )  # fmt: skip
    elif processes is not None and count >= 3 and 2 * (peak + 1) <= count:
        yield Advice(
            facts.name, "replicas.many", (ProposedChange(REPLICAS, int(processes), max(2, peak + 1)),),
            "Most processes of the local server never have a call.",
            figures, f"{count - max(2, peak + 1)} fewer processes and their memory.",
            "Is the load the same at other times of the day?",
        )  # fmt: skip
