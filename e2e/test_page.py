"""The page and these tests name the same commands."""

from __future__ import annotations

import re

from e2e.clusters import ROOT
from e2e.page import Page


def test_every_command_of_the_page_is_run(page: Page) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "e2e").glob("*.py"))
    assert set(re.findall(r'\.run\("([a-z-]+)"\)', sources)) == page.names()
    assert page.unnamed == []
