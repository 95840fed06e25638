"""How this distribution was built: with compiled modules, or as Python only."""

from __future__ import annotations

from typing import Final

COMPILED: Final = not __file__.endswith((".py", ".pyc"))
"""Whether the modules that run in every call are compiled; this one is compiled with them."""
BUILD: Final = "compiled" if COMPILED else "pure Python"
"""The same in words."""
