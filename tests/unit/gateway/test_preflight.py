"""Problems of a configuration, whether its text or this machine is at fault, have the line of the key at fault."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.gateway.preflight import preflight
from mcppool.spec import ConfigError, Problem, loads_toml


class Fault(NamedTuple):
    """A table within an array of tables of a pool, without fault, and a line that is one in it."""

    table: str
    good: tuple[str, ...]
    bad: str


FAULTS = (
    Fault("access.allow", ('name = "r{n}"', 'tools = ["a"]'), 'scopez = ["a"]'),
    Fault("access.allow", ('name = "r{n}"',), "tools = 3"),
    Fault("access.deny", ('name = "r{n}"', 'tools = ["a"]'), 'where = "x"'),
    Fault("auth.inbound.jwt.issuers", ('issuer = "https://i{n}.example"',), 'jwks_file = "/missing"'),
    Fault("auth.inbound.jwt.issuers", ('issuer = "https://i{n}.example"',), 'ca_file = "/missing"'),
    Fault("auth.inbound.jwt.issuers", ('issuer = "https://i{n}.example"',), 'algorithms = ["none"]'),
    Fault("endpoints", ('url = "http://127.0.0.1:8{n}/mcp"',), "weight = -1"),
    Fault("endpoints", ('url = "http://127.0.0.1:8{n}/mcp"',), 'headers.X-A.value_file = "/missing"'),
    Fault("endpoints", ('url = "http://127.0.0.1:8{n}/mcp"',), 'headers.X-A.value_env = "MCPPOOL_NOT_SET"'),
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, int]:
    """A file with one fault in one table of one of its pools, and the line of that fault."""
    pools = draw(st.integers(1, 3))
    faulty, line = draw(st.integers(0, pools - 1)), 0
    lines = ["[listener]", 'external_url = "https://mcp.example"']
    for pool in range(pools):
        lines += draw(st.lists(st.sampled_from(["", "# [[pools]]"]), max_size=2))
        lines += ["[[pools]]", f'name = "p{pool}"']
        fault = draw(st.sampled_from(FAULTS))
        if fault.table != "endpoints":
            lines.append('endpoints = [\n  "http://127.0.0.1/mcp",\n]')
        if "issuers" in fault.table:
            lines.append('auth.inbound.type = "jwt"')
        tables = draw(st.integers(1, 4))
        at_fault = draw(st.integers(0, tables - 1)) if pool == faulty else None
        for table in range(tables):
            lines.append(f"[[pools.{fault.table}]]")
            lines += [text.format(n=table + 1) for text in fault.good]
            if table == at_fault:
                lines.append(fault.bad)
                line = len("\n".join(lines).split("\n"))
    return "\n".join(lines) + "\n", line


def problems(text: str) -> list[Problem]:
    try:
        return preflight(loads_toml(text, "f.toml"))
    except ConfigError as error:
        return list(error.problems)


@given(documents())
def test_a_fault_in_any_table_of_any_pool_has_its_own_line(document: tuple[str, int]) -> None:
    text, line = document
    found = problems(text)
    assert [(each.source, each.line) for each in found] == [("f.toml", line)], text


@pytest.mark.parametrize("pool", ["tls.ca_file = '/missing'", "[pools.tls]\nca_file = '/missing'"])
def test_a_file_that_all_pools_miss_has_the_line_of_the_layer_that_names_it(pool: str) -> None:
    top = "[tls]\nca_file = '/none'\n" + "".join(
        f"[[pools]]\nname = '{n}'\nendpoints = ['https://a/mcp']\n" for n in "ab"
    )
    found = problems(top + pool + "\n")
    assert [(each.path, each.line) for each in found] == [
        ("pools.a.tls.ca_file", 2),
        ("pools.b.tls.ca_file", (top + pool).count("\n") + 1),
    ]
