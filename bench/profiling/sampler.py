"""Runs `mcppool` with a sampler: `python -m bench.profiling.sampler FILE serve …`.

SIGUSR2 starts it, and stops it: then FILE has one line for each stack that was seen, outermost function first, with the
number of times. The kernel's timer of consumed CPU time interrupts the process, so waiting is not counted. Nothing of
this is in the product: a gateway that is started as usual has no sampler.
"""

from __future__ import annotations

import dis
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

from mcppool.cli.main import main

EVERY = 0.001
"""Seconds of CPU time between two samples; many kernels round it up to their tick, 4 ms."""
LOOP = "event loop and system calls"
PACKAGE = "mcppool"
STARTUP = ("sampler", "<frozen runpy>", "runners", "__init__")
"""Modules between the interpreter and the event loop."""

RESUME = dis.opmap["RESUME"]

Stack = tuple[CodeType, ...]


class Sampler:
    """Counts stacks, innermost function first. A stack is `entered` if its innermost function has not done anything
    yet: the time before it was spent outside Python, in the event loop and its system calls."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._counts: Counter[tuple[bool, Stack]] = Counter()
        self._running = False

    def toggle(self, _number: int, _frame: FrameType | None) -> None:
        self._running = not self._running
        every = EVERY if self._running else 0.0
        signal.setitimer(signal.ITIMER_PROF, every, every)
        if not self._running:
            self._file.write_text("\n".join(self.lines()) + "\n")

    def sample(self, _number: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        entered = frame.f_code.co_code[frame.f_lasti] == RESUME
        stack: list[CodeType] = []
        while frame is not None:
            stack.append(frame.f_code)
            frame = frame.f_back
        self._counts[entered, tuple(stack)] += 1

    def lines(self) -> list[str]:
        """Return each stack with its number, as flame graphs take it: `outer;inner NUMBER`."""
        found: Counter[str] = Counter()
        for (entered, stack), number in self._counts.items():
            names = [_name(code) for code in reversed(stack)]
            names = [name for name in names if not _startup(name)]
            if entered and len(names) <= 1:
                names = [LOOP]
            found[";".join(names or [LOOP])] += number
        return [f"{stack} {number}" for stack, number in sorted(found.items())]


def _name(code: CodeType) -> str:
    """Return `module:function`, for our own modules and others."""
    path = Path(code.co_filename)
    parts = path.with_suffix("").parts
    module = path.stem
    if PACKAGE in parts:
        module = ".".join(parts[len(parts) - 1 - parts[::-1].index(PACKAGE) :])
    return f"{module}:{code.co_qualname}"


def _startup(name: str) -> bool:
    """Whether the function is on the way from the interpreter to the event loop, which every stack has."""
    module = name.partition(":")[0]
    return module.startswith(f"{PACKAGE}.cli.") or module in STARTUP


def run() -> int:
    sampler = Sampler(Path(sys.argv[1]))
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.signal(signal.SIGUSR2, sampler.toggle)
    sys.argv = ["mcppool", *sys.argv[2:]]
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run())
