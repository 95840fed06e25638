"""`make bench-advice`: the table of all scenes.

Each scene replays a trace under a configuration, gives the observed figures to the rule, applies the proposed values,
and replays the same trace again. A scene that is not better afterwards fails.
"""

from __future__ import annotations

import sys

from bench.advice import balancing, connections, load, repeating, times
from bench.advice.scene import run

SCENES = (
    *repeating.SCENES,
    *balancing.SCENES,
    *connections.SCENES,
    *times.SCENES,
    *load.SCENES,
)


def main() -> int:
    print("| trace | advice | figure | before | after |")
    print("|---|---|---|---:|---:|")
    better = True
    for scene in SCENES:
        before, after, proposed = run(scene)
        said = ", ".join(
            f"`{key} = {value}`" if value is not None else f"no `{key}`" for key, value in proposed.items()
        )
        print(f"| {scene.name} | {said} | {scene.figure} | {before:,.0f} | {after:,.0f} |")
        better = better and after < before
    return 0 if better else 1


if __name__ == "__main__":
    sys.exit(main())
