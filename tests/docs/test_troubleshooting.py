"""Every message of the product can be found on the page about troubleshooting."""

from __future__ import annotations

import re

import pytest

from mcppool_operator.conditions import HOPELESS
from tests.docs.messages import (
    DATAPLANE,
    OPERATOR,
    causes,
    conditions,
    events_of_local_servers,
    health,
    log_events,
    reasons,
    refusals,
)
from tests.requirements import ROOT

PAGE = (ROOT / "docs/how-to/troubleshooting.md").read_text()
NAMED = set(re.findall(r"`([A-Za-z_]+)`", PAGE))
EVENTS = log_events(DATAPLANE, OPERATOR) | events_of_local_servers()
TABLE = PAGE.partition("## Log events")[2].partition("\n## ")[0]
REMEDIES = (ROOT / "docs/reference/operator.md").read_text().partition("### Remedies")[2].partition("\n## ")[0]


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_an_event_of_the_log_is_on_the_page(event: str) -> None:
    assert f"`{event}`" in TABLE, "describe it in the table of log events of docs/how-to/troubleshooting.md"


def test_the_table_of_events_has_none_that_there_is_not() -> None:
    rows = [row.split("|")[1] for row in TABLE.splitlines() if row.startswith("| `")]
    assert {event for row in rows for event in re.findall(r"`([a-z_]+)`", row)} <= EVENTS


@pytest.mark.parametrize("reason", sorted(reasons()))
def test_a_reason_of_a_failed_call_is_on_the_page(reason: str) -> None:
    assert reason in NAMED


def test_every_reason_of_a_condition_is_on_the_page() -> None:
    documented = set(
        re.findall(r"`([A-Z]\w+)`", "\n".join(row.split("|")[1] for row in REMEDIES.splitlines() if "|" in row))
    )
    assert (conditions() | HOPELESS | documented) - NAMED == set()


@pytest.mark.parametrize("sentence", sorted(refusals()))
def test_a_refusal_of_arguments_is_on_the_page(sentence: str) -> None:
    words = sentence.strip().removeprefix("mcppool serve: ").removeprefix(": ").partition("  ")[0].strip()
    assert words in PAGE


@pytest.mark.parametrize("sentence", sorted(causes() | health()))
def test_a_cause_and_a_message_of_health_are_on_the_page(sentence: str) -> None:
    assert sentence in re.sub(r"\s+", " ", PAGE)
