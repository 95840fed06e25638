"""The settings in which two configurations differ."""

from __future__ import annotations

from mcppool.spec import Snapshot, loads_toml
from mcppool.spec.differences import Difference, differences

A, B, C = (f"http://127.0.0.1:{port}/mcp" for port in (8001, 8002, 8003))


def snapshot(endpoints: str, sections: str = "", name: str = "search") -> Snapshot:
    return loads_toml(f'[[pools]]\nname = "{name}"\nendpoints = [{endpoints}]\n{sections}')


def test_equal_configurations_do_not_differ() -> None:
    assert differences(snapshot(f'"{A}"'), snapshot(f'"{A}"')) == []


def test_a_changed_a_new_and_a_removed_setting() -> None:
    old = snapshot(f'"{A}"', '[pools.timeouts]\nrequest = "5s"\n[pools.tools.find]\ntimeout = "3s"')
    new = snapshot(f'"{A}"', '[pools.timeouts]\nrequest = "9s"')
    found = {line.path: line for line in differences(old, new)}
    assert found["pools.search.timeouts.request"] == Difference("pools.search.timeouts.request", "5s", "9s")
    assert found["pools.search.tools.find.timeout"].after is None
    assert {line.path for line in differences(new, old)} == set(found)


def test_an_endpoint_is_known_by_its_url_whatever_its_position() -> None:
    old = snapshot(f'"{A}", {{url = "{B}", weight = 3}}')
    new = snapshot(f'{{url = "{B}", weight = 5}}, "{C}"')
    found = {line.path: (line.before, line.after) for line in differences(old, new)}
    assert found[f"pools.search.endpoints[{B}].weight"] == (3, 5)
    assert found[f"pools.search.endpoints[{A}].url"] == (A, None)
    assert found[f"pools.search.endpoints[{C}].url"] == (None, C)
    assert f"pools.search.endpoints[{B}].url" not in found


def test_a_new_or_removed_pool_is_the_settings_that_it_chose() -> None:
    one = f'"{A}"'
    second = f'[[pools]]\nname = "second"\nendpoints = ["{B}"]\ntimeouts.request = "9s"\ncache.type = "none"'
    added = {line.path: (line.before, line.after) for line in differences(snapshot(one), snapshot(one, second))}
    assert added["pools.second.timeouts.request"] == (None, "9s")
    assert added[f"pools.second.endpoints[{B}].url"] == (None, B)
    assert len(added) < 8, "the rest has the defaults"
    removed = differences(snapshot(one, second), snapshot(one))
    assert {line.path: (line.after, line.before) for line in removed} == added
    renamed = differences(snapshot(one), snapshot(one, name="other"))
    assert {line.path.split(".")[1] for line in renamed} == {"search", "other"}
    assert len(renamed) < 16


def test_a_secret_is_never_shown() -> None:
    def with_key(key: str) -> Snapshot:
        return snapshot(f'"{A}"', f'[pools.headers.send]\nauthorization = "Bearer {key}"')

    text = str(differences(with_key("first-secret"), with_key("second-secret")))
    assert "secret" not in text
