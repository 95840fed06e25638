"""The baseline is exact: an unlisted failure is a surprise, and so is a listed one that passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.baseline import MISSING, Entry, failures, read_baseline, surprises, worse
from tests.conformance.suite import RAN, Check, Verdict, read_results

GOOD, WARNED, BAD = Verdict("SUCCESS"), Verdict("WARNING", "rather not"), Verdict("FAILURE", "no")
LIST, CALL, PING = Check("tools", "list"), Check("tools", "call"), Check("ping", "ping")


def entry(*checks: str) -> Entry:
    return Entry("sdk", "2025-11-25", "server", "a reason", checks)


def test_warnings_and_checks_that_were_not_exercised_have_not_passed() -> None:
    report = {LIST: WARNED, CALL: Verdict("SKIPPED"), PING: Verdict("INFO")}
    assert set(failures(report)) == {LIST, CALL}


def test_only_a_check_that_passed_before_and_fails_or_is_missing_now_is_worse() -> None:
    bare = {LIST: GOOD, CALL: GOOD, PING: BAD}
    assert worse(bare, {LIST: WARNED, PING: WARNED}) == {LIST: WARNED, CALL: MISSING}
    assert not worse(bare, {LIST: GOOD, CALL: GOOD, PING: GOOD, Check("new", "new"): BAD})


def test_a_failure_that_no_entry_names_is_a_surprise() -> None:
    assert surprises({LIST: BAD, CALL: BAD}, [entry("tools/list")]) == ["tools/call: FAILURE no"]
    assert not surprises({LIST: BAD, CALL: BAD}, [entry("tools/*")])


def test_a_stale_entry_is_a_surprise() -> None:
    assert surprises({LIST: BAD}, [entry("tools/*", "ping/ping")]) == ["ping/ping: stands in the baseline and passes"]


def test_an_entry_with_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "baseline.toml"
    file.write_text('[[known]]\nserver = "sdk"\nrevision = "x"\nby = "server"\nreasons = "r"\nchecks = []\n')
    with pytest.raises(TypeError, match="reasons"):
        read_baseline(file)


def test_a_scenario_that_breaks_off_without_results_has_failed(tmp_path: Path) -> None:
    (tmp_path / "server-tools-2026-01-02T03-04-05-678Z").mkdir()
    assert read_results(tmp_path)[Check("tools", RAN)].status == "FAILURE"


def test_a_check_made_several_times_has_the_worst_of_its_verdicts(tmp_path: Path) -> None:
    folder = tmp_path / "server-json-schema-2020-12-2026-01-02T03-04-05-678Z"
    folder.mkdir()
    seen = [
        {"id": "c", "status": "SUCCESS"},
        {"id": "c", "status": "FAILURE", "errorMessage": "no"},
        {"id": "c", "status": "SUCCESS"},
    ]
    (folder / "checks.json").write_text(json.dumps(seen))
    assert read_results(tmp_path) == {Check("json-schema-2020-12", "c"): BAD}
