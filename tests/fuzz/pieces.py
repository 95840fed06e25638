"""The parts of other inputs: JSON values, parts that break a syntax, and the breaking itself."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

PARTS = [
    b"\r\n", b"\n", b"\r", b"\0", b"\xff", b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\ud800", b"\\u0000", b"1e999",
    b"-0",
    b"null", b"9" * 400, b"9" * 5000, b"[" * 600, b"[" * 60_000, b'{"a":' * 300, b"0\r\n\r\n", b"\r\n\r\n", b"data: ",
    b"id: ", b"id: \0\n", b"retry: 1\n", b"retry: " + b"9" * 30 + b"\n", b"event: x\n", b": \n\n", b"\xef\xbb\xbf",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Connection: close\r\n", b"Mcp-Session-Id: x\r\n",
    b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b"Last-Event-ID: \xe9\r\n", b"Mcp-Name: =?base64?!?=\r\n",
    b"ffffffffffffffff\r\n", b"1;a=b\r\n", b"x" * 70_000,
]  # fmt: skip

NASTY = [
    "é", "\U0001f600", "\ud800", "\0", "x\r\nX-Injected: yes", "x" * 5000, "", " ", "\x1b[2J", "-1", "NaN",
    2**53, 2**64, 10**400, -1, 0, 1.5, True, None, [], {}, [[]] * 50, {"a": {"b": None}}, ["é"], [1], {"": ""},
]  # fmt: skip
nasty = st.sampled_from(NASTY)
"""Values that are valid JSON, and of the wrong kind or size for their reader."""

scalars = st.one_of(
    st.sampled_from([value for value in NASTY if not isinstance(value, list | dict)]),
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**18, 10**40),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.just("x" * 5000),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[bytes], parts: Sequence[bytes] = PARTS, most: int = 3) -> bytes:
    """With up to `most` parts put in, taken out or doubled, and perhaps cut short."""
    data = draw(whole)
    for _ in range(draw(st.integers(0, most))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 8))
        match draw(st.integers(0, 4)):
            case 0:
                part = draw(st.binary(max_size=4))
            case 1:
                start = draw(st.integers(0, len(data)))
                part = data[start : start + draw(st.sampled_from([1, 10, 100]))]
            case _:
                part = draw(st.sampled_from(parts))
        data = data[:at] + part + data[at + cut :]
    if draw(st.integers(0, 9)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return data


@st.composite
def cuts(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> list[bytes]:
    """The data in the pieces in which it is written."""
    whole = draw(data)
    at = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    return [piece for start, end in zip([0, *at], [*at, len(whole)], strict=True) if (piece := whole[start:end])]


@st.composite
def in_chunks(draw: st.DrawFn, body: bytes) -> bytes:
    """A body in the chunked encoding: sizes in both cases and with zeros before, extensions, trailers."""
    size = draw(st.sampled_from([1, 2, 7, 16, 1000, 100_000]))
    if len(body) > 5000:
        size = max(size, 1000)
    form = draw(st.sampled_from([b"%x\r\n", b"%X\r\n", b"000%x\r\n", b"%x;name=value\r\n", b'%x ; a="b"\r\n']))
    parts = [form % len(body[at : at + size]) + body[at : at + size] + b"\r\n" for at in range(0, len(body), size)]
    trailer = draw(
        st.sampled_from([b""] * 4 + [b"Trailer: x\r\n", b"Mcp-Session-Id: y\r\n", b"X: " + b"y" * 9000 + b"\r\n"])
    )
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"
