"""The rules of the layout that no tool checks: see docs/explanation/decisions/0001-layout.md and
docs/explanation/design/README.md."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import grimp
import pytest

from tests.requirements import ROOT

SOURCES = [
    path
    for folder in ("dataplane", "operator")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in str(path)
]

DESIGN = sorted((ROOT / "docs/explanation/design").glob("[0-9]*.md"))
HEADINGS = {number for page in DESIGN for number in re.findall(r"^#+ ([0-9.]+) ", page.read_text(), re.MULTILINE)}
CITING = [
    path
    for folder in ("dataplane", "operator", "tests", "charts", "examples", "bench", "e2e", "make", "scripts", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".md", ".yaml", ".yml", ".tpl", ".toml", ".mk", ".sh", ".js", "")
    and path.is_file()
    and not {"node_modules", "__pycache__"} & set(path.parts)
]
SIGN = "\N{SECTION SIGN}"
CITED = re.compile(rf"\b(design|RFC [0-9]+) {SIGN}[0-9.]+(?:(?:,| and) {SIGN}[0-9.]+)*")


def unresolved(text: str, *, of_the_design: bool = False) -> list[str]:
    """The citations of `text` that lead nowhere: a number that no page of the design has, or no name of the cited work.
    On the pages of the design (`of_the_design`) a number alone cites them."""
    text = re.sub(r"\s+(?:#\s+)?", " ", text)
    wrong = []
    if not of_the_design:
        wrong = re.findall(f".{{0,20}}{SIGN}[^ ]*", CITED.sub("", text))
        text = " ".join(match.group() for match in CITED.finditer(text) if match.group(1) == "design")
    numbers = [number.rstrip(".") for number in re.findall(f"{SIGN}([0-9.]+)", text)]
    return wrong + [number for number in numbers if number not in HEADINGS]


def loaded_by(statement: str) -> set[str]:
    """The modules in a fresh interpreter after `statement`."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(result.stdout.split())


def test_the_operator_folder_does_not_shadow_the_standard_module() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert "attrgetter" in dir(__import__("operator"))


def test_no_modules_of_the_data_plane_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("mcppool", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    order = graphlib.TopologicalSorter(imports)
    order.prepare()  # raises CycleError, which names the modules


def test_no_two_classes_share_a_name() -> None:
    names = Counter(
        node.name
        for path in SOURCES
        if path.is_relative_to(ROOT / "dataplane") or path.is_relative_to(ROOT / "operator")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_importing_the_package_loads_none_of_its_parts() -> None:
    assert {name for name in loaded_by("import mcppool") if name.startswith("mcppool")} == {"mcppool"}


def test_importing_the_spec_loads_nothing_else_of_ours_and_no_network_library() -> None:
    loaded = loaded_by("import mcppool.spec")
    ours = {name for name in loaded if name.startswith("mcppool") and not name.startswith("mcppool.spec")}
    assert ours == {"mcppool"}
    assert not loaded & {"aiohttp", "uvloop", "httptools", "prometheus_client", "kubernetes", "kopf"}


def test_a_gateway_loads_the_libraries_of_tokens_and_certificates_only_where_a_pool_uses_them() -> None:
    loaded = loaded_by("import mcppool.cli.serve, mcppool.gateway.gateway")
    assert not {name for name in loaded if name.partition(".")[0] in ("cryptography", "jwt", "aiohttp", "redis")}


def test_a_gateway_loads_no_model_of_the_kubernetes_resource() -> None:
    """They are half of the models of the configuration: memory and time of each process."""
    loaded = loaded_by("import mcppool.cli.serve, mcppool.gateway.gateway")
    assert "mcppool.spec.pool" in loaded
    assert not loaded & {"mcppool.spec.resource", "mcppool.spec.sections.gateway", "mcppool.spec.sections.managed"}


@pytest.mark.parametrize("layer", ["wire", "policy"])
def test_the_pure_layers_know_neither_loop_nor_clock_nor_sockets(layer: str) -> None:
    forbidden = {"asyncio", "aiohttp", "socket", "uvloop", "threading"}
    sources = [path for path in SOURCES if f"/mcppool/{layer}/" in path.as_posix()]
    assert sources
    for path in sources:
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert not imported & forbidden, path


def test_the_command_does_not_import_dependencies_of_the_operator() -> None:
    assert not loaded_by("import mcppool.cli.main") & {"kopf", "kubernetes", "mcp", "mcp_types"}


def test_both_packages_say_that_they_are_typed() -> None:
    for package in ("dataplane/mcppool", "operator/mcppool_operator"):
        assert (ROOT / package / "py.typed").exists()


def test_every_dependency_has_its_reason_in_the_decisions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    reasons = (ROOT / "docs/explanation/decisions/0002-dependencies.md").read_text()
    for requirement in [*project["dependencies"], *(each for extra in extras.values() for each in extra)]:
        name = requirement.split(">")[0]
        assert f"| `{name}` |" in reasons, f"{name} has no row in 0002-dependencies.md"


def test_no_lock_file_names_a_registry() -> None:
    locks = list((ROOT / "requirements").glob("*.lock"))
    npm_locks = list((ROOT / "tests").glob("*/npm/package-lock.json"))
    assert locks
    assert npm_locks
    for lock in locks:
        assert "://" not in lock.read_text(), lock.name
    for lock in npm_locks:
        assert '"resolved"' not in lock.read_text(), lock


def test_every_pinned_package_is_pinned_by_hash_and_the_same_everywhere() -> None:
    def pins(path: Path) -> dict[str, str]:
        entries = [line.split(" ")[0].split("==", 1) for line in path.read_text().splitlines() if line[:1].isalpha()]
        return dict(entries)

    whole = pins(ROOT / "requirements/dev.lock")
    for part in ("gateway", "operator", "example"):
        lock = ROOT / f"requirements/{part}.lock"
        assert pins(lock)
        assert pins(lock).items() <= whole.items(), part
        assert lock.read_text().count("--hash=") >= len(pins(lock))


def test_every_citation_of_the_design_leads_to_a_heading() -> None:
    wrong = {
        path.relative_to(ROOT).as_posix(): found
        for path in CITING
        if SIGN in (text := path.read_text())
        and (found := unresolved(text, of_the_design=path.parent.name == "design"))
    }
    assert not wrong


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"(design {SIGN}1.1, {SIGN}1.2)", []),
        (f"(design {SIGN}1.1 and {SIGN}1.99)", ["1.99"]),
        (f"    # as the design\n    # {SIGN}99.1 says", ["99.1"]),
        (f"(RFC 9110 {SIGN}7.8)", []),
        (f"(DESIGN {SIGN}1.1)", [f"(DESIGN {SIGN}1.1)"]),
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str, found: list[str]) -> None:
    assert unresolved(text) == found


def test_each_number_of_the_design_occurs_once_and_on_its_page() -> None:
    numbers = [
        (page.name, number)
        for page in DESIGN
        for number in re.findall(r"^#+ ([0-9.]+) ", page.read_text(), re.MULTILINE)
    ]
    assert len(numbers) == len({number for _, number in numbers})
    assert all(int(number.split(".")[0]) == int(name.split("-")[0]) for name, number in numbers)
    assert [page for page in DESIGN if re.search(r"^## (?![0-9]+\.[0-9]+ )", page.read_text(), re.MULTILINE)] == []


def private_members(node: ast.AST) -> list[str]:
    """Members with a leading underscore that an expression looks at, besides those of `self`."""
    return [
        ast.unparse(each)
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and each.attr.startswith("_")
        and not each.attr.startswith("__")
        and not (isinstance(each.value, ast.Name) and each.value.id in ("self", "cls"))
    ]


def test_no_assertion_of_a_test_looks_at_a_private_member() -> None:
    files = [path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts]
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert) and private_members(node)
    ]
    assert not found


def test_every_name_of_a_module_is_used() -> None:
    defined: dict[str, Path] = {}
    used: set[str] = set()
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.update(re.split("[.:]", node.value) if re.fullmatch(r"[\w.:]+", node.value) else ())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                defined[node.name] = path
            elif isinstance(node, ast.Assign):
                defined.update((target.id, path) for target in node.targets if isinstance(target, ast.Name))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                defined[node.target.id] = path
    assert {name: path.name for name, path in defined.items() if name not in used} == {"__getattr__": "__init__.py"}


def test_the_data_plane_logs_in_one_way() -> None:
    importing = {
        path.relative_to(ROOT / "dataplane/mcppool").as_posix()
        for path in SOURCES
        if "dataplane" in path.parts and re.search(r"^(import|from) logging\b", path.read_text(), re.MULTILINE)
    }
    # The admin port filters aiohttp's own log; `observe.logs` takes that over.
    assert importing == {"observe/logs.py", "observe/admin.py"}


RIDDLE = re.compile(r"(What|Who|Whom|Whose|Whoever|Whatever|Of wh\w+|That which|Whether wh\w+)\b")
"""Beginnings of docstrings that hide the noun: "What is kept of a call" is "State of an abandoned call"."""


def riddles(source: str) -> list[str]:
    """The docstrings of modules, classes, functions and attributes that begin without a noun or a verb."""
    texts = [
        node.value.value.strip()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return [text for text in texts if RIDDLE.match(text)]


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    assert not {str(path.relative_to(ROOT)): found for path in SOURCES if (found := riddles(path.read_text()))}


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("What is kept of a call that was given up.", True),
        ("Whether what an endpoint says is believed.", True),
        ("State of an abandoned call.", False),
        ("Whether health checks found the endpoint alive.", False),
    ],
)
def test_a_docstring_that_begins_with_a_riddle_is_found(docstring: str, found: bool) -> None:
    assert bool(riddles(f'x = 1\n"""{docstring}"""')) is found
