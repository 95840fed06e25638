"""API keys: the clients that may call with each key, and until when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mcppool.access.api_keys import ApiKeys
from mcppool.access.credential import Credential, read_credential
from mcppool.access.denied import Denied
from mcppool.access.key_file import ApiKey, hash_of, render_key
from mcppool.spec.sections.inbound import ApiKeysSpec

NOW = 1_800_000_000.0


def shown(key: str, scheme: str = "Bearer") -> Credential:
    credential = read_credential(f"{scheme} {key}", scheme=True)
    assert credential is not None
    return credential


def write(file: Path, *keys: ApiKey) -> str:
    file.write_text("".join(map(render_key, keys)))
    return str(file)


def keys_of(file: Path, on_change: Callable[[], None] = lambda: None) -> ApiKeys:
    return ApiKeys(ApiKeysSpec(keys_file=str(file)), "demo", on_change)


async def test_a_key_holds_until_it_expires_and_another_one_never(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    write(file, ApiKey("ann", hash_of("k1"), NOW + 10, ("dev",), ("read",)), ApiKey("bob", hash_of("k2")))
    keys = keys_of(file)
    ann, bob = keys.recall(shown("k1"), NOW), keys.recall(shown("k2"), NOW)
    assert ann is not None
    assert bob is not None
    assert (ann.name, ann.groups, ann.scopes, ann.expires_at) == ("ann", {"dev"}, {"read"}, NOW + 10)
    assert ann.key != bob.key
    assert keys.recall(shown("k1"), NOW + 10) is None
    with pytest.raises(Denied, match="expired"):
        await keys.authenticate(shown("k1"), "a", NOW + 10)
    with pytest.raises(Denied, match="not known"):
        await keys.authenticate(shown("k3"), "a", NOW)
    assert keys.recall(shown("k2"), NOW * 2) is bob
    await keys.close()


async def test_two_keys_of_one_name_are_one_principal(tmp_path: Path) -> None:
    keys = keys_of(Path(write(tmp_path / "keys", ApiKey("ann", hash_of("old")), ApiKey("ann", hash_of("new")))))
    old, new = keys.recall(shown("old"), NOW), keys.recall(shown("new"), NOW)
    assert old is not None
    assert new is not None
    assert old.key == new.key
    await keys.close()


async def test_a_key_in_authorization_comes_with_the_bearer_scheme(tmp_path: Path) -> None:
    keys = keys_of(Path(write(tmp_path / "keys", ApiKey("ann", hash_of("k")))))
    assert keys.recall(shown("k", "bearer"), NOW) is not None
    assert keys.recall(shown("k", "Basic"), NOW) is None
    with pytest.raises(Denied, match="not Bearer"):
        await keys.authenticate(shown("k", "Basic"), "a", NOW)
    await keys.close()


async def test_a_changed_file_holds_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    write(file, ApiKey("ann", hash_of("k1")))
    changes: list[None] = []
    keys = keys_of(file, lambda: changes.append(None))
    write(file, ApiKey("bob", hash_of("k2")))
    keys.file.look()
    assert keys.recall(shown("k1"), NOW) is None
    assert keys.recall(shown("k2"), NOW) is not None
    assert len(changes) == 1
    for broken in ("[[keys]", "\xff"):
        file.write_text(broken, encoding="latin-1")
        keys.file.look()
        assert keys.recall(shown("k2"), NOW) is not None
    file.unlink()
    keys.file.look()
    assert keys.recall(shown("k2"), NOW) is not None
    assert len(changes) == 1
    await keys.close()


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer  ", "Bearer a b", "Bearer ü", "k"])
def test_a_malformed_credential_counts_as_none(value: str) -> None:
    assert read_credential(value, scheme=True) is None
