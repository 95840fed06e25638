"""Counted nouns in sentences for people."""

from __future__ import annotations


def counted(count: int, noun: str, verb: tuple[str, str] | None = None, *, of: int | None = None) -> str:
    """`1 call`, `2 calls`; with a verb `1 server takes`, `2 servers take`; with `of` `1 of 3 servers takes`."""
    things = count if of is None else of
    plural = "" if things == 1 else "s"
    head = f"{count} {noun}{plural}" if of is None else f"{count} of {of} {noun}{plural}"
    return head if verb is None else f"{head} {verb[count != 1]}"
