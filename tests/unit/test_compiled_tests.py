"""`make test-compiled-hot` runs the unit tests of every compiled module."""

from __future__ import annotations

import pytest

from scripts.compiled_modules import COMPILED
from scripts.compiled_tests import UNIT, unit_tests

TESTS = unit_tests()


@pytest.mark.parametrize("module", COMPILED)
def test_the_tests_of_a_compiled_module_are_run(module: str) -> None:
    package, inside, _ = module.partition("/")
    dotted = "mcppool." + module.removesuffix(".py").replace("/", ".")
    own = set((UNIT / package).rglob("test_*.py")) if inside else set()
    importing = {file for file in UNIT.rglob("test_*.py") if f"from {dotted} import" in file.read_text()}
    assert own | importing, "it has tests"
    assert own | importing <= set(TESTS)


@pytest.mark.parametrize("package", ["operator", "spec"])
def test_tests_of_packages_without_a_compiled_module_are_left_out(package: str) -> None:
    assert not any(file.is_relative_to(UNIT / package) for file in TESTS)


def test_the_check_of_the_compiled_build_is_run() -> None:
    assert UNIT / "test_compiled_modules.py" in TESTS
