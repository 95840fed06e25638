"""The query of a client's URL, which goes to the server after the query of the endpoint's own URL."""

from __future__ import annotations

from urllib.parse import unquote_plus


def merged_query(own: bytes, client: bytes) -> bytes:
    """`own`, the query of the endpoint's URL, followed by the client's parameters.

    The endpoint's URL is the operator's word: a client's parameter with the same name, in any spelling, is left out,
    because servers differ in which of two they use.
    """
    if not own or not client:
        return own or client
    fixed = {_name(part) for part in _parts(own)}
    added = [part for part in client.split(b"&") if not fixed.intersection(map(_name, _parts(part)))]
    return b"&".join([own, *added])


def _parts(query: bytes) -> list[bytes]:
    """The parameters of a query, for readers that split at `&` and for readers that also split at `;`."""
    return [part for piece in query.split(b"&") for part in (piece, *piece.split(b";"))]


def _name(part: bytes) -> str:
    """The name of a parameter as the most lenient reader sees it: decoded, in one case, without the brackets and dots
    of nested ones."""
    name = unquote_plus(part.partition(b"=")[0].decode("latin-1"), errors="replace").strip().casefold()
    return name.partition("[")[0].replace(".", "_").replace(" ", "_") or name
