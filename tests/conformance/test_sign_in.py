"""The suite's scenarios for clients that sign in, with a gateway between the client and the server: all pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.baseline import failures
from tests.conformance.sign_in_clients import clients
from tests.conformance.suite import REVISIONS, run_sign_in

SCENARIOS = {"2026-07-28": 25, "2025-11-25": 14}


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_client_signs_in_through_the_gateway_in_every_scenario_of_the_suite(
    revision: str, tmp_path: Path
) -> None:
    place = tmp_path / "clients"
    async with clients(place):
        report = await run_sign_in(place, revision, tmp_path / "results")
    assert len({check.scenario for check in report}) == SCENARIOS[revision]
    found = [f"{check}: {verdict.status} {verdict.message}" for check, verdict in failures(report).items()]
    assert not found, "\n".join(found)
