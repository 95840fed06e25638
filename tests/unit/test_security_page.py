"""The page of limits agrees with the code; it and the page of threats name existing tests."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import pytest

from mcppool.spec.file_spec import FileSpec
from mcppool.spec.generate.json_schema import written_default
from mcppool.spec.shape import fields_of
from mcppool.spec.values import format_size
from tests.requirements import ROOT

PAGE = (ROOT / "docs/explanation/design/08-security.md").read_text()
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.partition("## 8.3 Limits")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| what ")
]


def in_code(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def in_configuration(path: str) -> Any:
    section, _, key = path.partition(".")
    model = fields_of(FileSpec)[section].shape.model
    assert model is not None
    return written_default(fields_of(model)[key])


def named_tests(text: str) -> list[str]:
    found: list[str] = re.findall(r"`(tests/[^`]+)`", text)
    return found


def exists(test: str) -> bool:
    file, _, name = test.partition("::")
    return not name or f"def {name}(" in (ROOT / file).read_text()


def as_text(value: Any) -> set[str]:
    if isinstance(value, float):
        return {f"{value:g} s"}
    return {str(value), format_size(value)} if isinstance(value, int) else {str(value)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_limit_has_the_default_of_the_page(row: tuple[str, ...]) -> None:
    _, set_by, default, _ = row
    path = set_by.strip("`")
    value = in_code(path) if path.startswith("mcppool.") else in_configuration(path)
    if value is None:
        assert len(default.split()) > 1, "a default that depends on something is told in words"
    else:
        assert default in as_text(value)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_limit_is_reached_by_a_test_that_there_is(row: tuple[str, ...]) -> None:
    for test in named_tests(row[3]):
        assert exists(test)


@pytest.mark.parametrize("test", named_tests((ROOT / "docs/explanation/security.md").read_text()))
def test_a_threat_has_a_test_that_there_is(test: str) -> None:
    assert exists(test)
