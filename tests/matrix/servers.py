"""The servers of the matrix: their start, and the actions of their clients."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.requirements import CACHE, need_node
from tests.servers.kinds import MCP1_PYTHON

HERE = Path(__file__).parent
MATRIX = CACHE / "matrix"
NPM = CACHE / "npm/node_modules"
MATRIX_NPM = MATRIX / "npm/node_modules"

#: One step of a client, as programs/client.py reads it: `[what, …]`.
Action = Sequence[Any]

TALK: tuple[Action, ...] = (
    ("call", "add", {"a": 2, "b": 3}),
    ("call", "echo", {"message": "äöü € 😀"}),
    ("call", "count", {"steps": 3}),
    ("call", "fail", {}),
    ("call", "add", {"a": "two", "b": 3}),
    ("call", "no-such-tool", {}),
    ("read", "matrix://text"),
    ("read", "matrix://nothing"),
    ("prompt", "greeting", {"who": "Ada"}),
)

#: For the servers of rust/, which have tools only.
CALLS = tuple(act for act in TALK if act[0] == "call")


@dataclass(frozen=True)
class Server:
    """`command(folder, port)` starts it; `port` is None for a program on standard streams. `needs` must be installed.

    `package` is its name and version in its registry. `acts` are the client's actions between listing and closing;
    after a new connection it repeats the first of them.
    """

    name: str
    package: str
    http: bool
    command: Callable[[Path, int | None], Sequence[str]]
    needs: Sequence[Path]
    acts: Sequence[Action]
    env: Mapping[str, str] | None = None
    #: Environment for a server that takes its port from there.
    port_variable: str | None = None
    #: It has prompts and resources to list; asking another is an error, which is compared, too.
    lists: Sequence[str] = ("tools", "prompts", "resources")

    @property
    def missing(self) -> Path | None:
        """The first missing requirement."""
        return next((path for path in self.needs if not path.exists()), None)

    def actions(self) -> list[Action]:
        """The actions of each client: everything once, then the first call over a second connection."""
        lists = [(what,) for what in self.lists]
        return [("connect",), *lists, *self.acts, ("close",), ("connect",), ("tools",), *self.acts[:1], ("close",)]


def _pair(name: str, package: str, words: Callable[[], Sequence[str]], needs: Sequence[Path]) -> list[Server]:
    """A small server of this folder, over HTTP (its last argument is the port) and on standard streams."""

    def command(folder: Path, port: int | None) -> list[str]:
        return [*words(), *([] if port is None else [str(port)])]

    return [
        Server(f"{name}-{'http' if http else 'stdio'}", package, http, command, needs, TALK) for http in (True, False)
    ]


def _sdk(name: str, kind: str, python: Path, package: str) -> list[Server]:
    """The small server of programs/server.py on one SDK."""
    return _pair(name, package, lambda: [str(python), str(HERE / "programs/server.py"), kind], [python])


def _typescript(name: str, kind: str, package: str, *needs: str) -> list[Server]:
    """The small server of programs/server.mjs on one SDK."""
    words = (str(HERE / "programs/server.mjs"), str(NPM.parent), kind)
    return _pair(name, package, lambda: [str(need_node()), *words], [NPM / need for need in needs])


def _go(name: str, program: str, package: str) -> list[Server]:
    """The small server of go/PROGRAM."""
    binary = MATRIX / "go" / program
    return _pair(name, package, lambda: [str(binary), "serve"], [binary])


def _rust(name: str, program: str, package: str) -> list[Server]:
    """The small server of rust/PROGRAM: tools only."""
    binary = MATRIX / "rust/debug" / program
    both = _pair(name, package, lambda: [str(binary), "serve"], [binary])
    return [replace(server, acts=CALLS, lists=("tools",)) for server in both]


def _node(script: Path, *arguments: str) -> Callable[[Path, int | None], list[str]]:
    return lambda folder, port: [
        str(need_node()),
        str(script),
        *(a.replace("{folder}", str(folder)) for a in arguments),
    ]


def _python(program: Path, *arguments: str) -> Callable[[Path, int | None], list[str]]:
    return lambda folder, port: [
        str(program),
        *(argument.replace("{folder}", str(folder)) for argument in arguments),
    ]


def _published(name: str, script: Path, acts: Sequence[Action], *arguments: str, package: str, **more: Any) -> Server:
    return Server(name, package, False, _node(script, *arguments), [script], acts, **more)


def _pypi(name: str, acts: Sequence[Action], *arguments: str, package: str, sdk: str = "servers") -> Server:
    """A command of the environment `sdk`: `servers` has the SDK 2.x, `servers1` 1.x."""
    program = MATRIX / sdk / "bin" / name
    # By its interpreter: the first line of the program names the folder in which the environment was made.
    command = _python(MATRIX / sdk / "bin/python", str(program), *arguments)
    return Server(name, package, False, command, [program], acts)


EVERYTHING = NPM / "@modelcontextprotocol/server-everything/dist/index.js"
EVERYTHING_ACTS: tuple[Action, ...] = (
    ("call", "echo", {"message": "äöü € 😀"}),
    ("call", "get-sum", {"a": 2, "b": 3}),
    ("call", "get-tiny-image", {}),
    ("call", "trigger-long-running-operation", {"duration": 0.3, "steps": 3}),
    ("call", "get-sum", {"a": "two"}),
    ("call", "no-such-tool", {}),
    ("read", "demo://resource/static/document/features.md"),
    ("read", "demo://nothing"),
    ("prompt", "args-prompt", {"city": "Paris"}),
    ("prompt", "no-such-prompt", {}),
)

SERVERS: tuple[Server, ...] = (
    *_sdk("python-sdk-1", "mcp1", MCP1_PYTHON, "PyPI mcp 1.30.0"),
    *_sdk("python-sdk-2", "mcp2", Path(sys.executable), "PyPI mcp 2.3.0"),
    *_sdk("fastmcp-2", "fastmcp", MATRIX / "fastmcp2/bin/python", "PyPI fastmcp 2.14.7"),
    *_sdk("fastmcp-3", "fastmcp", MATRIX / "fastmcp3/bin/python", "PyPI fastmcp 3.4.11"),
    *_sdk("fastmcp-4", "fastmcp", MATRIX / "fastmcp4/bin/python", "PyPI fastmcp 4.2.3"),
    *_typescript("typescript-sdk-1", "ts1", "npm @modelcontextprotocol/sdk 1.32.2", "@modelcontextprotocol/sdk"),
    *_typescript(
        "typescript-sdk-2",
        "ts2",
        "npm @modelcontextprotocol/server 2.4.0",
        "@modelcontextprotocol/server",
        "@modelcontextprotocol/node",
    ),
    *_go("go-sdk", "gosdk", "Go github.com/modelcontextprotocol/go-sdk 1.8.0"),
    *_go("mcp-go", "mcpgo", "Go github.com/mark3labs/mcp-go 1.2.1"),
    *_rust("rust-sdk-0", "matrix-rmcp016", "crates.io rmcp 0.16.0")[1:],
    *_rust("rust-sdk-1", "matrix-rmcp1", "crates.io rmcp 1.8.0")[1:],
    *_rust("rust-sdk-3", "matrix-rmcp3", "crates.io rmcp 3.11.0"),
    Server(
        "server-everything-http",
        "npm @modelcontextprotocol/server-everything 2026.8.31",
        True,
        _node(EVERYTHING, "streamableHttp"),
        [EVERYTHING],
        EVERYTHING_ACTS,
        port_variable="PORT",
    ),
    _published(
        "server-everything-stdio",
        EVERYTHING,
        EVERYTHING_ACTS,
        "stdio",
        package="npm @modelcontextprotocol/server-everything 2026.8.31",
    ),
    _published(
        "server-filesystem",
        MATRIX_NPM / "@modelcontextprotocol/server-filesystem/dist/index.js",
        (
            ("call", "write_file", {"path": "{folder}/new.txt", "content": "new"}),
            ("call", "read_text_file", {"path": "{folder}/text.txt"}),
            ("call", "list_directory", {"path": "{folder}"}),
            ("call", "read_text_file", {"path": "{folder}/nothing.txt"}),
            ("call", "read_text_file", {"path": "/etc/passwd"}),
        ),
        "{folder}",
        package="npm @modelcontextprotocol/server-filesystem 2026.8.31",
    ),
    _published(
        "server-memory",
        MATRIX_NPM / "@modelcontextprotocol/server-memory/dist/index.js",
        (
            ("call", "read_graph", {}),
            ("call", "search_nodes", {"query": "nobody"}),
            ("call", "open_nodes", {"names": 3}),
        ),
        package="npm @modelcontextprotocol/server-memory 2026.8.31",
    ),
    _published(
        "server-sequential-thinking",
        MATRIX_NPM / "@modelcontextprotocol/server-sequential-thinking/dist/index.js",
        (
            (
                "call",
                "sequentialthinking",
                {"thought": "one", "thoughtNumber": 1, "totalThoughts": 2, "nextThoughtNeeded": True},
            ),
            ("call", "sequentialthinking", {"thought": "one"}),
        ),
        package="npm @modelcontextprotocol/server-sequential-thinking 2026.8.31",
    ),
    _pypi(
        "mcp-server-time",
        (
            ("call", "convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}),
            ("call", "convert_time", {"source_timezone": "Nowhere", "time": "12:00", "target_timezone": "UTC"}),
        ),
        "--local-timezone=UTC",
        package="PyPI mcp-server-time 2026.10.19",
    ),
    _pypi(
        "mcp-server-git",
        (
            ("call", "git_log", {"repo_path": "{folder}", "max_count": 1}),
            ("call", "git_status", {"repo_path": "{folder}"}),
            ("call", "git_show", {"repo_path": "{folder}", "revision": "no-such-revision"}),
        ),
        "--repository",
        "{folder}",
        package="PyPI mcp-server-git 2026.10.19",
    ),
    _pypi(
        "mcp-server-sqlite",
        (
            ("call", "create_table", {"query": "CREATE TABLE IF NOT EXISTS t (a INTEGER)"}),
            ("call", "list_tables", {}),
            ("call", "read_query", {"query": "SELECT 1 + 1 AS two"}),
            ("call", "read_query", {"query": "SELECT nonsense FROM nowhere"}),
            ("read", "memo://insights"),
            ("prompt", "mcp-demo", {"topic": "retail"}),
        ),
        "--db-path",
        "{folder}/data.sqlite",
        package="PyPI mcp-server-sqlite 2025.4.25",
        sdk="servers1",
    ),
    _pypi(
        "mcp-server-fetch",
        (("call", "fetch", {"url": "not a url"}), ("call", "no-such-tool", {})),
        package="PyPI mcp-server-fetch 2026.10.24",
    ),
)
