"""The command of a program in `bench/`: its usual options, and what it does with what it has measured."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench import report
from bench.processes import Failed


@dataclass(frozen=True)
class Result:
    """What a program has measured: `text` for `docs/reference/benchmarks.md`, and `figures` for `bench/results/`.

    `others` is the largest share of the cores that other processes took meanwhile: a noisy text is not written. `more`
    is only printed. `broken` are the bounds that do not hold: with any of them, the program fails.
    """

    text: str
    figures: Mapping[str, Any]
    others: float = 0.0
    more: str = ""
    broken: tuple[str, ...] = ()


def parser(text: str | None) -> argparse.ArgumentParser:
    """A parser of the program with this docstring."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--write", action="store_true", help="put the table into docs/reference/benchmarks.md")
    return made


def add_rounds(made: argparse.ArgumentParser, rounds: int, seconds: int = 2) -> None:
    """Add the number of rounds and their length."""
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--seconds", type=int, default=seconds, help=f"length of a round (default {seconds})")


def run(name: str, options: argparse.Namespace, measured: Callable[[], Result]) -> int:
    """Measure, print and keep the result, write it into the page if it is asked for; returns the exit status. Every
    process that was started ends, also when this one is ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        result = measured()
        print(result.text)
        if result.more:
            print(f"\n{result.more}")
        when = datetime.now(UTC).isoformat(timespec="seconds")
        say(f"all figures: {report.save(name, {'when': when, **result.figures})}")
        for broken in result.broken:
            say(f"beyond its bound: {broken}")
        if options.write:
            if result.others > report.NOISY:
                raise Failed("not written: other processes took more than a twentieth of the cores")
            report.write_section(name, result.text)
    except Failed as failure:
        say(f"bench: {failure}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if result.broken else 0


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)
