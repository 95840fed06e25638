"""The steps in the documentation work as written."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mcppool.cli.main import main
from tests.requirements import ROOT

README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "charts").rglob("*.md")])
GLOSSARY = ROOT / "docs/reference/glossary.md"
TERMS = re.findall(r"^\| (?!term |---)([^|]+?) \|", GLOSSARY.read_text(), re.MULTILINE)


def blocks(text: str, language: str) -> list[tuple[str, str]]:
    """The fenced blocks of a language: the text after the language's name, and the content."""
    return re.findall(rf"^```{language}[ ]*([a-z-]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


PARTS = ("tutorials", "how-to", "reference", "explanation")


def prose(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    found: Counter[str] = Counter()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found[re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")] += 1
    return {name if not nth else f"{name}-{nth}" for name, count in found.items() for nth in range(count)}


def links(page: Path) -> list[tuple[Path, str]]:
    """The file and the anchor of each link of a page that stays within the project."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(page))
    return [(page.parent / target if target else page, anchor) for target, anchor in found if "://" not in target]


def test_each_page_is_in_one_of_the_four_parts() -> None:
    pages = {page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")}
    assert [page for page in pages if page.parts[0] not in (*PARTS, "README.md")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), target
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{target.relative_to(page.parent)}#{anchor}"


def test_every_page_that_code_names_is_there() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.split("\0"):
        if Path(name).suffix in (".py", ".yaml", ".mk", ".toml", ".js", "") and (ROOT / name).is_file():
            for target in re.findall(r"\bdocs/[\w/-]+\.(?:md|png|svg)\b", (ROOT / name).read_text()):
                assert (ROOT / target).exists(), f"{name}: {target}"


def test_every_page_can_be_found_from_the_list_of_pages() -> None:
    seen, ahead = set(), [ROOT / "docs/README.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            ahead += [target for target, _ in links(page)]
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} <= seen


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_module_that_a_page_names_is_there(page: Path) -> None:
    for name in re.findall(r"`([a-z0-9_]+/[a-z0-9_/]*\.py)\b", page.read_text()):
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "dataplane/mcppool")), name


def test_the_map_of_the_code_shows_every_folder_and_none_that_is_not_there() -> None:
    pictures = [path.read_text() for path in (ROOT / "docs/images").glob("design-*-light.svg")]
    names = re.findall(r'font-weight="[67]00"[^>]*>([^<]*/[^<]*)<', "".join(pictures))
    table = (ROOT / "docs/explanation/design/README.md").read_text().partition("## Who may import whom")[2]
    picture = "\n".join(pictures)
    package = ROOT / "dataplane/mcppool"
    shown = set(re.findall(r"\b([a-z_]+)/", " ".join(names))) | set(re.findall(r"`([a-z_]+)/`", table))
    folders = {
        path.name
        for folder in (package, package / "pipeline", package / "gateway", package / "upstream")
        for path in folder.iterdir()
        if (path / "__init__.py").exists()
    }
    assert shown - {"operator", "mcppool_operator"} == folders
    for name in re.findall(r"\b([a-z_]+\.py)\b", picture):
        assert list(package.rglob(name)), name


def test_the_pictures_of_the_design_are_those_that_make_generate_draws(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts/draw-design", tmp_path], check=True)
    drawn = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert len(drawn) == 4
    assert drawn == {path.name: path.read_text() for path in (ROOT / "docs/images").glob("design-*.svg")}


@pytest.fixture(scope="module")
def vocabulary() -> str:
    """Code and documentation but the glossary, as words in lower case: identifiers are taken apart."""
    sources = [path for folder in ("dataplane", "operator") for path in (ROOT / folder).rglob("*.py")]
    text = " ".join(path.read_text() for path in [*sources, *PAGES] if path != GLOSSARY)
    return re.sub(r"[\s_*`-]+", " ", re.sub(r"([a-z])([A-Z])", r"\1 \2", text)).lower()


def test_the_glossary_has_each_term_once_and_in_order() -> None:
    assert len(TERMS) > 50
    assert sorted(set(TERMS), key=str.lower) == TERMS


@pytest.mark.parametrize("term", TERMS)
def test_a_term_of_the_glossary_is_in_use(term: str, vocabulary: str) -> None:
    assert re.search(rf"\b{re.sub('[ -]', ' ', term.lower())}", vocabulary)


def test_the_commands_for_kubernetes_in_the_readme_are_those_that_the_cluster_test_runs() -> None:
    run = dict(blocks((ROOT / "docs/tutorials/kubernetes.md").read_text(), "sh"))
    shown = [(name, commands) for name, commands in blocks(README, "sh") if name]
    assert shown
    for name, commands in shown:
        assert commands == run[name], f"{name}: scripts/copy-commands brings the README up to date"
    assert all("kubectl" not in commands for name, commands in blocks(README, "sh") if not name)


def test_the_readme_shows_a_configuration() -> None:
    assert blocks(README, "toml")


def test_every_make_target_that_is_named_exists() -> None:
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z0-9-]+)", page.read_text())}
    targets = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert named
    assert named <= set(re.findall(r"^  make ([a-z0-9-]+)", targets, re.MULTILINE))


def test_every_subcommand_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    with pytest.raises(SystemExit):
        main(["--help"])
    usage = capsys.readouterr().out
    named = set(re.findall(r"`(?:\.venv/bin/)?mcppool ([a-z]+)", text))
    assert named
    for command in named:
        assert re.search(rf"^    {command}\b", usage, re.MULTILINE), command
