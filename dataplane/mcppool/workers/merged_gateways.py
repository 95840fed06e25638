"""The status pages of several gateways as one. They serve the same pools, and know nothing of each other."""

from __future__ import annotations

from collections.abc import Sequence

from mcppool.observe.status_json import Body
from mcppool.workers.merged_status import WORST_STATUS, merged_status


def merged_gateways(pages: Sequence[tuple[str, Body]]) -> Body:
    """The sums and the worst states of all gateways, each with its address: at least one."""
    whole = merged_status([page for _, page in pages])
    components: Body = {}
    since: Body = {}
    for name in dict.fromkeys(name for _, page in pages for name in page["health"]["components"]):
        parts = [
            (address, page["health"]["components"][name], page["healthSince"].get(name))
            for address, page in pages
            if name in page["health"]["components"]
        ]
        address, worst, _ = min(parts, key=lambda part: WORST_STATUS.index(part[1]["status"]))
        alike = all(part == worst for _, part, _ in parts)
        components[name] = worst if alike else {**worst, "message": f"{address}: {worst['message']}"}
        times = [time for _, part, time in parts if part["status"] == worst["status"] and time is not None]
        since[name] = (max if worst["status"] == "healthy" else min)(times, default=None)
    overall = min((page["health"]["overall"] for _, page in pages), key=WORST_STATUS.index)
    return {**whole, "health": {"overall": overall, "components": components}, "healthSince": since}
