"""Configured headers that the gateway sends to an endpoint with each request: `headers.send` and `endpoints[].headers`.

Their values may be tokens. They are never shown, and values in files are read again when the files change.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from mcppool.small_file import read_small_file
from mcppool.spec import EndpointSpec, HeaderValueSpec, PoolSpec

MAX_VALUE = 8192  # upper bound in bytes on a value in a file or an environment variable
_SENDABLE = re.compile(r"[!-~]([ -~]*[!-~])?")


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


def read_value(spec: HeaderValueSpec) -> str:
    """The value of a header. Raises ValueError with the reason for its absence, without its content."""
    if spec.value is not None:
        return spec.value
    if spec.value_env is not None:
        found = os.environ.get(spec.value_env)
        where = f"the environment variable {spec.value_env}"
        if found is None:
            raise ValueError(f"{where} is not set")
    else:
        where = f"the file {spec.value_file}"
        try:
            found = read_small_file(spec.value_file or "", MAX_VALUE + 2).decode("ascii").rstrip("\r\n")
        except UnicodeDecodeError:
            raise ValueError(f"the value of {where} is not ASCII") from None
        except OSError as error:
            raise ValueError(f"{where} cannot be read: {error.strerror}") from None
    if len(found) > MAX_VALUE or not _SENDABLE.fullmatch(found):
        raise ValueError(f"the value of {where} is not a valid header value")
    return found
