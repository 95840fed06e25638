"""If servers check credentials, each credential is a principal of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcppool.access.passthrough import NOBODY, Passthrough
from mcppool.policy.principal import ANONYMOUS, Principal
from tests.unit.access.peer import NO_CERTIFICATE

VALUES = st.text(min_size=1).filter(lambda text: bool(text.strip()))


def principal_of(value: str | None) -> Principal:
    passing = Passthrough()
    credential = passing.read({"authorization": value} if value is not None else {}, NO_CERTIFICATE)
    assert credential is not None
    principal = passing.recall(credential, 0.0)
    assert principal is not None
    return principal


@given(VALUES, VALUES)
def test_two_credentials_are_two_principals(one: str, other: str) -> None:
    assert (principal_of(one).key == principal_of(other).key) is (one.strip() == other.strip())


def test_without_a_credential_a_client_is_nobody_and_not_the_principal_of_open_pools() -> None:
    assert principal_of(None) is NOBODY
    assert NOBODY.key != ANONYMOUS.key
