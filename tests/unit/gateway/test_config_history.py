"""The history of configurations."""

from __future__ import annotations

from mcppool.gateway.config_history import MAX_CHANGES, MAX_SETTINGS, MAX_TEXT, ConfigHistory
from mcppool.spec import Snapshot, loads_toml


def snapshot(request: str, *urls: str) -> Snapshot:
    endpoints = ", ".join(f'"{url}"' for url in urls or ("http://127.0.0.1:8001/mcp",))
    return loads_toml(f'[[pools]]\nname = "p"\nendpoints = [{endpoints}]\n[pools.timeouts]\nrequest = "{request}"')


def test_a_change_tells_what_was_and_what_is() -> None:
    history = ConfigHistory()
    history.applied(snapshot("5s"))
    history.applied(snapshot("9s"))
    newest, first = history.newest_first()
    assert [(line.path, line.before, line.after) for line in newest.settings] == [
        ("pools.p.timeouts.request", "5s", "9s")
    ]
    assert first.settings == ()
    assert newest.hash == snapshot("9s").hash


def test_the_same_configuration_again_is_no_change() -> None:
    history = ConfigHistory()
    for _ in range(3):
        history.applied(snapshot("5s"))
        history.refused(["pools[0]: no", "x" * 1000], "sha256:ab")
        history.refused(["pools[0]: no", "x" * 1000], "sha256:ab")
    refused, applied = history.newest_first()
    assert (refused.problems, applied.problems) == (("pools[0]: no", "x" * MAX_TEXT), ())


def test_the_history_is_bounded() -> None:
    history = ConfigHistory()
    for number in range(3 * MAX_CHANGES):
        urls = [f"http://{'a' * 60}.{'b' * 60}.{'c' * 60}.{number}-{other}.example/{'d' * 500}" for other in range(80)]
        history.applied(snapshot("5s", *urls))
    found = history.newest_first()
    assert len(found) == MAX_CHANGES
    for change in found:
        assert len(change.settings) == MAX_SETTINGS
        assert change.more > 0
        assert all(len(text or "") <= MAX_TEXT for line in change.settings for text in (line.before, line.after))
