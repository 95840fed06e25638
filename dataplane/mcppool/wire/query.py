"""The query of a client's URL, which goes to the server after the query of the endpoint's own URL."""

from __future__ import annotations

from urllib.parse import unquote_plus


def merged_query(own: bytes, client: bytes) -> bytes:
    """`own`, the endpoint's, and after it what the client asks for besides.

    What the endpoint's URL says is its operator's word: a parameter of the client's with the same name is left out,
    however it is spelt, for servers differ in which of two they believe.
    """
    if not own or not client:
        return own or client
    fixed = {_name(part) for part in _parts(own)}
    added = [part for part in client.split(b"&") if not fixed.intersection(map(_name, _parts(part)))]
    return b"&".join([own, *added])


def _parts(query: bytes) -> list[bytes]:
    """The parameters of a query, for readers that split at `&` and for readers that split at `;` too."""
    return [part for piece in query.split(b"&") for part in (piece, *piece.split(b";"))]


def _name(part: bytes) -> str:
    """What a parameter is called, as the most lenient of readers has it: decoded, in one case, without the brackets
    and dots of nested ones."""
    name = unquote_plus(part.partition(b"=")[0].decode("latin-1"), errors="replace").strip().casefold()
    return name.partition("[")[0].replace(".", "_").replace(" ", "_") or name
