"""The compiled modules have nothing that mypyc compiles wrong without a message (decision 0022)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module

import pytest

from mcppool.built import BUILD
from mcppool.built import COMPILED as IS_COMPILED
from mcppool.cli.main import main
from mcppool.gateway.http.head_cache import Head
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.pipeline.response.validate import read_message
from mcppool.upstream.http.response import Response
from mcppool.wire.bulk import Bulk
from mcppool.wire.media_types import JSON
from scripts.compiled_modules import COMPILED, INTERPRETED
from tests.requirements import ROOT
from tests.unit.upstream.line import Line

PACKAGE = ROOT / "dataplane" / "mcppool"

BASES = {
    "Exception", "Protocol", "Generic", "NamedTuple", "TypedDict",
    "Enum", "IntEnum", "StrEnum",
    "asyncio.Protocol",  # it has empty slots: an instance of a subclass is laid out like an object
}  # fmt: skip
"""Classes that a compiled class may have as a base, beside compiled classes. Subclasses of `dict`, `deque`, `bytearray`
or a socket corrupt memory; those of msgspec's `Struct` lose their fields."""


def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text(), module)


def base_name(node: ast.expr) -> str:
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node)


def classes(module: str) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(tree(module)) if isinstance(node, ast.ClassDef))


def dotted(module: str) -> str:
    return "mcppool." + module.removesuffix(".py").replace("/", ".")


def imported(module: str) -> dict[str, str]:
    """Modules by the names that are imported from them."""
    return {
        name.asname or name.name: node.module or ""
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }


def faults(code: ast.Module, compiled_bases: set[str]) -> list[str]:
    """What mypyc would compile wrong, each with its line."""
    found = []
    for node in ast.walk(code):
        if isinstance(node, ast.ClassDef):
            bases = {base_name(base) for base in node.bases}
            own = {each.name for each in ast.walk(code) if isinstance(each, ast.ClassDef)}
            found += [
                f"{node.lineno}: {node.name} has the base class {base}" for base in bases - BASES - own - compiled_bases
            ]
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            if bases & {"Enum", "IntEnum", "StrEnum"} and methods & {"__init__", "__new__"}:
                found.append(f"{node.lineno}: the enumeration {node.name} has a constructor")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found += faults_of_function(node)
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "Final":
            found += [f"{node.lineno}: {ast.unparse(node.target)} needs a type"] if of_floats(node.value) else []
    return found


def of_floats(value: ast.expr | None) -> bool:
    """Whether it is a tuple of floating-point numbers only: compiled code says that such a constant is not set."""
    kinds = {type(getattr(each, "value", None)) for each in value.elts} if isinstance(value, ast.Tuple) else set()
    return kinds == {float}


def faults_of_function(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    names = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    found = []
    for node in ast.walk(function):
        if isinstance(node, ast.Delete):
            deleted = {target.id for target in node.targets if isinstance(target, ast.Name)}
            found += [f"{node.lineno}: the argument {name} is deleted" for name in deleted & names]
        elif isinstance(node, ast.Yield | ast.YieldFrom) and isinstance(function, ast.AsyncFunctionDef):
            found.append(f"{node.lineno}: {function.name} is an asynchronous generator")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".__new__"):
            found.append(f"{node.lineno}: an instance is made without its constructor")
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub):
            sides = [side for side in (node.left, node.right) if isinstance(side, ast.Call)]
            if any(isinstance(side.func, ast.Attribute) and side.func.attr in ("keys", "items") for side in sides):
                found.append(f"{node.lineno}: the result of an operation on the view of a dictionary is a set")
    return found


@pytest.mark.parametrize("module", COMPILED)
def test_a_compiled_module_has_nothing_that_is_compiled_wrong(module: str) -> None:
    compiled = {dotted(each) for each in COMPILED}
    bases = {name for name, home in imported(module).items() if home in compiled}
    assert faults(tree(module), bases) == []


def test_no_interpreted_class_has_a_compiled_base() -> None:
    compiled = {(dotted(module), each.name) for module in COMPILED for each in classes(module)}
    mixed = []
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).as_posix()
        if module in COMPILED:
            continue
        homes = imported(module)
        mixed += [
            f"{module}:{each.lineno}: {each.name}"
            for each in classes(module)
            for base in each.bases
            if (homes.get(base_name(base), ""), base_name(base)) in compiled
        ]
    assert mixed == []


def test_the_list_has_each_module_once_in_order_and_every_one_exists() -> None:
    assert not set(COMPILED) & set(INTERPRETED)
    for modules in (COMPILED, tuple(INTERPRETED)):
        assert list(modules) == sorted(set(modules))
        assert [module for module in modules if not (PACKAGE / module).is_file()] == []


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("class Table(dict[str, int]): pass", "1: Table has the base class dict"),
        ("class Queue(collections.deque): pass", "1: Queue has the base class collections.deque"),
        ("class Body(bytearray): pass", "1: Body has the base class bytearray"),
        ("class Message(Struct, frozen=True): pass", "1: Message has the base class Struct"),
        ("class State(Enum):\n  def __init__(self, x): pass", "1: the enumeration State has a constructor"),
        ("async def work(request):\n  del request", "2: the argument request is deleted"),
        ("def f():\n  return Plan.__new__(Plan)", "2: an instance is made without its constructor"),
        ("async def parts(body):\n  yield body", "2: parts is an asynchronous generator"),
        ("BOUNDS: Final = (0.5, 1.0)", "1: BOUNDS needs a type"),
        ("def f(d):\n  return KNOWN | d.keys()", "2: the result of an operation on the view of a dictionary is a set"),
    ],
)
def test_what_is_compiled_wrong_is_found(code: str, fault: str) -> None:
    assert faults(ast.parse(code), set()) == [fault]


def test_what_is_compiled_well_is_not_a_fault() -> None:
    code = """
class Malformed(Exception): pass
class TooLong(Malformed): pass
class Worker(Generic[C]):
    def end(self, key):
        del self.table[key]
        found = 1
        del found
        yield key
class Colour(Enum):
    RED = "red"
BOUNDS: Final[tuple[float, ...]] = (0.5, 1.0)
NUMBERS: Final = (1, 2)
"""
    assert faults(ast.parse(code), set()) == []


def test_a_build_has_all_modules_of_the_list_compiled_or_none_and_the_command_says_which(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = {module: import_module(dotted(module)).__file__ or "" for module in COMPILED}
    assert {file.endswith(".so") for file in files.values()} == {IS_COMPILED}
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.endswith(f" ({BUILD})\n")
    assert ("compiled" if IS_COMPILED else "pure Python") == BUILD


async def test_both_builds_take_a_large_message_which_is_no_bytes() -> None:
    """What is annotated `bytes` and comes from a message can be a `Bulk`: the compiler must not believe it."""
    document = Bulk(b'{"jsonrpc":"2.0","id":1,"result":{}}')
    request = HttpRequest(Head(b"POST", b"/mcp", [], True), document, True)
    assert request.body is document
    response = Response(Line().connection)
    response.body, response.content_type = document, JSON
    assert response.body is document
    assert read_message(response, document).id == b"1"
