"""`make bench-faults`: the effects on clients when replicas die, hang, slow down, lose their sessions and lie.

Three replicas record each call that they execute; sixteen clients of both eras read and write through the gateway, each
call with an id and a text of its own. nginx and a naive proxy face the same faults, with modern clients only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

from bench import machine, report
from bench.faults import table
from bench.faults.cases import CASES, Case
from bench.faults.scene import Lengths
from bench.faults.targets import PEERS, ours, peer
from bench.faults.verdict import Verdict
from bench.processes import Failed
from tests.servers import Replica, aserving, sdk2_replica
from tests.servers.kinds import fault_replica

FAKE = Lengths(before=1.5, fault=2.0, after=1.0, pause=0.015)
REAL = Lengths(before=1.5, fault=2.0, after=1.0, pause=0.06)  # the SDK's servers need milliseconds for a call
OURS = "mcppool"


async def run(cases: Sequence[Case], targets: Sequence[str]) -> list[Verdict]:
    """Each case at each target, one after another; replicas are started once for all."""
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="mcppool-faults-") as folder:
        for real in (True, False):
            ledger = Path(folder) / f"ledger-{real}.jsonl"
            chosen = [case for case in cases if case.real is real]
            if not chosen:
                continue
            make = real_replica if real else fault_replica
            async with AsyncExitStack() as stack:
                replicas = await stack.enter_async_context(aserving(*(make(name, ledger) for name in "abc")))
                for case in chosen:
                    for target in targets:
                        if (case.second or case.workers > 1) and target != OURS:
                            continue
                        ledger.touch()
                        os.truncate(ledger, 0)
                        lengths = REAL if real else FAKE
                        if target == OURS:
                            verdict = await ours(case, replicas, ledger, lengths)
                        else:
                            verdict = await peer(target, case, replicas, ledger, lengths)
                        verdicts.append(verdict)
                        print(table.line(verdict), file=sys.stderr, flush=True)
    return verdicts


def real_replica(name: str, ledger: Path) -> Replica:
    """The official SDK's server."""
    return sdk2_replica(name, ledger, json_response=True)


def chosen(text: str) -> list[Case]:
    """Cases whose name contains one of the words."""
    found = [case for case in CASES if any(word in case.name for word in text.split(","))]
    if not found:
        raise argparse.ArgumentTypeError(f"no case has one of these words in its name: {text}")
    return found


def merged(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The last run's verdicts; new ones replace those of the same cases, at all targets."""
    last = [Verdict.read(saved) for saved in json.loads((report.RESULTS / "faults.json").read_text())["verdicts"]]
    cases = {verdict.case for verdict in verdicts}
    found = [verdict for verdict in last if verdict.case not in cases] + list(verdicts)
    order = [case.name for case in CASES]
    return sorted(found, key=lambda verdict: order.index(verdict.case))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=chosen, default=list(CASES), help="words, e.g. killed,hung (default: all)")
    parser.add_argument("--targets", default=",".join((OURS, *PEERS)), help="default: %(default)s")
    parser.add_argument(
        "--again", action="store_true", help="put the cases that are run into the table of the last run"
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/reference/benchmarks.md")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every started process is ended
    try:
        verdicts = asyncio.run(run(options.cases, options.targets.split(",")))
        if options.again:
            verdicts = merged(verdicts)
        text = table.markdown(machine.versions(), verdicts)
        print(text)
        report.save("faults", {"verdicts": [asdict(verdict) for verdict in verdicts]})
        if options.write:
            report.write_section("faults", text)
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if any(v.target == OURS and (v.broken or v.slowed) for v in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
