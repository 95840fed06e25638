"""Names in access rules: patterns, and the readings of a name by different servers.

Servers read names differently: some ignore case, some normalise Unicode, most resolve `%2e%2e/` in a URI. So that no
spelling gets around a rule, an allow rule must match every reading of a name, and a deny rule matches if it matches one
of them. A URI with unforeseeable readings is *ambiguous*: only the pattern `*` allows it, and any pattern denies it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote

Kind = Literal["tool", "prompt", "resource"]

MAX_DECODINGS: Final = 4
"""Rounds of percent-decoding after which a URI that still changes is ambiguous."""

MAX_ESCAPES: Final = 1024
"""Upper bound on the `%` in a URI; one with more is ambiguous."""
MAX_FOLDED: Final = 256
"""Upper bound on the characters of a text beyond ASCII; a longer one is ambiguous, because normalisation can take
seconds."""

_SLASHES: Final = re.compile(r"[/\\]+")
_DOT_SEGMENT: Final = re.compile(r"(?:^|[/:])\.{1,2}(?:[/?#;]|$)")
_UNCLEAR: Final = re.compile("[\x00-\x1f\x7f\ufffd]")


class Readings(NamedTuple):
    """A name as the client wrote it, and in its most lenient reading. `exact` is None if there is no name."""

    exact: str | None
    lenient: str = ""
    ambiguous: bool = False


def fold(name: str) -> str:
    """A name without the differences that lenient servers ignore: case, Unicode form, white space at its ends, and the
    text after a NUL."""
    return _normal(name.partition("\0")[0]).strip()


def fold_uri(uri: str) -> str:
    """The same for a URI or a part of one: percent-encoding is decoded, and runs of slashes count as one."""
    for _ in range(MAX_DECODINGS if uri.count("%") <= MAX_ESCAPES else 0):
        decoded = unquote(uri)
        if decoded == uri:
            break
        uri = decoded
    return _SLASHES.sub("/", _normal(uri))


def _normal(text: str) -> str:
    """A text without differences of case and Unicode form; without normalisation if the text is too long for it."""
    if text.isascii() or len(text) > MAX_FOLDED:
        return text.casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def readings(kind: Kind | None, name: str | None) -> Readings:
    """The readings of the name of a tool or prompt, or of a resource's URI. A missing name is ambiguous."""
    if name is None:
        return Readings(None, ambiguous=kind is not None)
    if kind != "resource":
        return Readings(name, fold(name), not name.isascii() and len(name) > MAX_FOLDED)
    lenient = fold_uri(name)
    if name.count("%") > MAX_ESCAPES or (len(lenient) > MAX_FOLDED and not lenient.isascii()):
        return Readings(name, lenient, ambiguous=True)
    unsettled = "%" in lenient and fold_uri(lenient) != lenient
    unclear = _UNCLEAR.search(lenient) is not None or _DOT_SEGMENT.search(lenient) is not None
    return Readings(name, lenient, unsettled or unclear)


class Glob:
    """A pattern in which `*` stands for any text, which may be empty."""

    __slots__ = ("_first", "_last", "_middle", "_whole", "everything")

    def __init__(self, pattern: str, fold: Callable[[str], str] = str) -> None:
        first, *rest = map(fold, pattern.split("*"))
        self._first = first
        self._whole = not rest
        self._last = rest.pop() if rest else ""
        self._middle = [part for part in rest if part]
        self.everything = pattern.strip("*") == "" and pattern != ""

    def fits(self, text: str) -> bool:
        """Whether the whole text matches."""
        if self._whole:
            return text == self._first
        end = len(text) - len(self._last)
        if not (text.startswith(self._first) and text.endswith(self._last)) or len(self._first) > end:
            return False
        at = len(self._first)
        for part in self._middle:  # the leftmost place leaves the most room for the rest
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True


class NamePatterns:
    """Patterns and exceptions (`!PATTERN`) for names of one kind. Exceptions alone are exceptions from everything."""

    __slots__ = ("_exceptions", "_exceptions_lenient", "_patterns", "_patterns_lenient", "_uri")

    def __init__(self, kind: Kind, patterns: Iterable[str]) -> None:
        self._uri = kind == "resource"
        folded = fold_uri if self._uri else fold
        written = tuple(patterns)
        kept = [pattern for pattern in written if not pattern.startswith("!")] or ["*"]
        but = [pattern[1:] for pattern in written if pattern.startswith("!")]
        self._patterns = [Glob(pattern) for pattern in kept]
        self._patterns_lenient = [Glob(pattern, folded) for pattern in kept]
        self._exceptions = [Glob(pattern) for pattern in but]
        self._exceptions_lenient = [Glob(pattern, folded) for pattern in but]

    def certainly(self, name: Readings) -> bool:
        """Whether every reading of the name matches, as an allow rule requires. Tools and prompts are allowed only
        under the spelling of the pattern."""
        if name.ambiguous:
            return not self._exceptions and any(glob.everything for glob in self._patterns)
        exact = name.exact or ""
        if not any(glob.fits(exact) for glob in self._patterns):
            return False
        if self._uri and not any(glob.fits(name.lenient) for glob in self._patterns_lenient):
            return False
        return not any(glob.fits(exact) for glob in self._exceptions) and not any(
            glob.fits(name.lenient) for glob in self._exceptions_lenient
        )

    def possibly(self, name: Readings) -> bool:
        """Whether one reading of the name matches, as a deny rule requires."""
        if name.ambiguous:
            return True
        exact = name.exact or ""
        if not any(glob.fits(exact) for glob in self._patterns) and not any(
            glob.fits(name.lenient) for glob in self._patterns_lenient
        ):
            return False
        if not any(glob.fits(exact) for glob in self._exceptions):
            return True
        return self._uri and not any(glob.fits(name.lenient) for glob in self._exceptions_lenient)
