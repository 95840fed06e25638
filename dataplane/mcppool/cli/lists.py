"""Lists of a server, from all their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcppool.cli.parsing import guess
from mcppool.wire.errors import METHOD_NOT_FOUND, Reason

if TYPE_CHECKING:
    from mcppool.client.pool import Pool

MAX_PAGES: Final = 100


async def whole_list(pool: Pool, method: str, member: str) -> list[dict[str, Any]]:
    """Every item of a list; empty if the server does not have such a list. Raises CallFailed and RpcError."""
    from mcppool.client.errors import CallFailed, RpcError

    items: list[dict[str, Any]] = []
    params: dict[str, Any] = {}
    broken = f"its list of {member} has more than {MAX_PAGES} pages"
    for _ in range(MAX_PAGES):
        try:
            page = await pool.request(method, params)
        except RpcError as error:
            if error.code == METHOD_NOT_FOUND:
                return items
            raise
        found = page.get(member)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            broken = f"its answer to {method} has no list of {member}"
            break
        items += found
        if not (cursor := page.get("nextCursor")):
            return items
        params = {"cursor": cursor}
    raise CallFailed(Reason.BAD_UPSTREAM_ANSWER, delivered="yes", attempts=1, message=broken)


def named(items: list[dict[str, Any]], name: str, key: str = "name") -> dict[str, Any] | None:
    """The item with this name; None if there is none."""
    return next((item for item in items if item.get(key) == name), None)


def no_such(kind: str, name: str, items: list[dict[str, Any]]) -> str:
    """The words for a name that no item has, with a guess at the one that was meant."""
    return f"no {kind} {name!r}{guess(name, (str(item.get('name')) for item in items))}"


def first_line(text: object) -> str:
    """The first line of a description; empty if there is none."""
    lines = text.strip().splitlines() if isinstance(text, str) else []
    return lines[0] if lines else ""
