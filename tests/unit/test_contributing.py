"""The recipes of CONTRIBUTING name existing files, few of them, and tests cover the steps that they leave out."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from mcppool.policy.balancing import STRATEGIES
from mcppool.policy.retry_decision import Because
from mcppool.spec.sections.load_balancer import Strategy
from tests.requirements import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = re.findall(
    r"^### ([^\n]*)\n(.*?)(?=^##)",
    PAGE.partition("## The five commonest changes")[2].partition("\n## ")[0] + "\n##",
    re.M | re.S,
)


def test_there_are_five_recipes() -> None:
    assert len(RECIPES) == 5


@pytest.mark.parametrize(("name", "text"), RECIPES, ids=[name for name, _ in RECIPES])
def test_a_recipe_touches_at_most_four_files(name: str, text: str) -> None:
    assert 3 <= len(re.findall(r"^\* ", text, re.M)) <= 4


@pytest.mark.parametrize(("name", "text"), RECIPES, ids=[name for name, _ in RECIPES])
def test_a_recipe_names_files_that_there_are(name: str, text: str) -> None:
    files = re.findall(r"`([a-z_/0-9-]+/[A-Za-z0-9_-]+\.(?:py|md))`", text)
    assert files
    for file in files:
        folders = (ROOT, ROOT / "dataplane/mcppool")
        assert any((folder / re.sub("[A-Z]+", "*", file)).parent.is_dir() for folder in folders), file
        assert re.search("[A-Z]", file) or any((folder / file).exists() for folder in folders), file


def test_every_name_that_a_recipe_gives_is_in_its_file() -> None:
    for name, file in (
        ("STRATEGIES", "dataplane/mcppool/policy/balancing/__init__.py"),
        ("Strategy", "dataplane/mcppool/spec/sections/load_balancer.py"),
        ("POOL_COUNTERS", "dataplane/mcppool/observe/counter_families.py"),
        ("GATEWAY_COUNTERS", "dataplane/mcppool/observe/counter_families.py"),
        ("CONDITIONS", "operator/mcppool_operator/conditions.py"),
        ("HOPELESS", "operator/mcppool_operator/conditions.py"),
        ("changed_for_a_process", "dataplane/mcppool/gateway/fixed_settings.py"),
    ):
        assert f"`{name}`" in PAGE
        assert re.search(rf"^(def )?{name}\b", (ROOT / file).read_text(), re.M), f"{name} in {file}"


def test_each_strategy_of_the_configuration_is_there() -> None:
    assert tuple(STRATEGIES) == get_args(Strategy)


def test_each_reason_to_stop_retrying_has_a_row_in_the_table() -> None:
    rows = (ROOT / "tests/unit/policy/test_retry_decision.py").read_text()
    assert [because for because in get_args(Because) if f'Stop("{because}")' not in rows] == []
