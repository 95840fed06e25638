"""The static site: `make site` builds it, and mkdocs fails for a link or an anchor that leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import CACHE, ROOT, need_path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_path(CACHE / "venv-site/bin/mkdocs", "mkdocs", "`make servers` installs it")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, ROOT / "scripts/build-site", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_has_every_page_of_the_documentation(site: Path) -> None:
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*/*.md")}
    names = {re.sub(r"README\.md$", "index.md", page).removesuffix(".md") + ".html" for page in pages}
    assert names <= {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    assert (site / "project/changelog.html").exists()


def test_the_navigation_has_the_four_parts_in_order(site: Path) -> None:
    tabs = re.findall(r'class="md-tabs__link">\s*([^<]*?)\s*<', (site / "index.html").read_text())
    assert tabs == ["Home", "Tutorials", "How-to guides", "Reference", "Explanation", "Project"]


def test_the_site_takes_nothing_from_other_hosts(site: Path) -> None:
    for page in site.rglob("*.html"):
        taken = re.findall(
            r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|srcset|href)=\"?(https?://[^\s\">]+)", page.read_text()
        )
        assert taken == [], page.name


def test_the_site_shows_names_of_blocks_to_nobody_and_highlights_their_language(site: Path) -> None:
    page = (site / "tutorials/quick-start.html").read_text()
    assert re.search(r'<span class="kn">import</span>', page), "a program in Python, with its colours"
    assert "```" not in page
