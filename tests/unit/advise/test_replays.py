"""Advice improves the trace that led to it."""

from __future__ import annotations

import pytest

from bench.advice.__main__ import SCENES
from bench.advice.scene import Scene, run


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_advice_improves_the_trace_that_led_to_it(scene: Scene) -> None:
    before, after, _ = run(scene)
    assert after < 0.7 * before
