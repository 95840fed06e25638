"""The status page: one document with its style and its script inside, and a policy that forbids everything else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

PROGRAM: Final = ("elements", "words", "past", "charts", "tables", "problems", "pool", "advice", "main")
"""The files of the script, in their order."""


@dataclass(frozen=True, slots=True)
class Page:
    """The document, and the headers that it is sent with."""

    body: bytes
    headers: dict[str, str]


def make_page() -> Page:
    """Put the page together. The policy names style and script by their hashes: no other can run, whether injected or
    loaded."""
    here = files(__name__)
    style = here.joinpath("status.css").read_text("utf-8")
    program = "".join(here.joinpath(f"{name}.js").read_text("utf-8") for name in PROGRAM)
    body = here.joinpath("status.html").read_text("utf-8").replace("/*style*/", style).replace("/*program*/", program)
    policy = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(program),
        "img-src": "data:",  # its icon
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return Page(
        body.encode(),
        {
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
        },
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
