"""The generated part of a page, between two marks."""

from __future__ import annotations

END = "<!-- generated: end -->"


def renew(page: str, generated: str) -> str:
    """`page` with its generated part replaced; the first and the last line of `generated` are its marks.

    Raises ValueError if the page has no marks for it.
    """
    begin, end = generated.split("\n", 1)[0], generated.rsplit("\n", 1)[-1]
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError("the page has no marks for the generated part")
    return before + generated + after
