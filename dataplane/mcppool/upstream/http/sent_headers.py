"""Configured headers that the gateway sends to an endpoint with each request: `headers.send` and `endpoints[].headers`.

Their values may be tokens. They are never shown, and values in files are read again when the files change.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcppool.header_value import read_value
from mcppool.spec import EndpointSpec, HeaderValueSpec, PoolSpec


class SentHeaders:
    """The rendered lines of one endpoint.

    `problems` names the headers that cannot be read, with the reason. Such a header is sent with its last value,
    because programs that renew a token often empty its file first; without an earlier value it is left out. `missing`
    is the problem of the token of `auth.outbound`: without it nothing may be sent.
    """

    def __init__(self, endpoint: EndpointSpec, pool: PoolSpec) -> None:
        own = {name.lower(): value for name, value in endpoint.headers.items()}
        token = pool.auth.outbound.token
        self._token = token.header.lower() if token is not None else None
        if token is not None:
            own[token.header.lower()] = HeaderValueSpec(value_file=token.token_file, prefix=token.scheme)
        self.missing: str | None = None
        self._values: Mapping[str, HeaderValueSpec] = {
            **{name.lower(): value for name, value in pool.headers.send.items()},
            **own,
        }
        self.names = frozenset(self._values)
        self.may_change = any(value.value_file is not None for value in self._values.values())
        self.lines = b""
        self._last: dict[str, str] = {}
        self.problems: tuple[str, ...] = ()
        self.renew()

    def renew(self) -> bool:
        """Read the values again; returns whether any has changed."""
        lines: list[str] = []
        problems: list[str] = []
        for name, spec in self._values.items():
            try:
                self._last[name] = read_value(spec)
            except ValueError as error:
                kept = "the last value is sent" if name in self._last else "the header is not sent"
                problems.append(f"{name}: {error}; {kept}")
            if name in self._last:
                lines.append(f"{name}: {spec.prefix}{self._last[name]}\r\n")
        if self._token is not None and self._token not in self._last:
            self.missing = next(problem for problem in problems if problem.startswith(f"{self._token}: "))
        else:
            self.missing = None
        before = self.lines, self.problems
        self.lines, self.problems = "".join(lines).encode("ascii"), tuple(problems)
        return before != (self.lines, self.problems)
