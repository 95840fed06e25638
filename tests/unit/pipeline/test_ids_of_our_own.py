"""Ids that the gateway gives to requests: several processes send requests of one session to the same server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mcppool.pipeline.request_id import OURS, reissue_small
from mcppool.pipeline.sessions.streams import SessionStreams
from mcppool.wire.rpc_request import parse_request

BODY = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}'
IN_ANOTHER_PROCESS = "from tests.unit.pipeline.test_ids_of_our_own import ids; print(*ids())"


def ids() -> list[str]:
    """The ids of the first request and the first question of this process."""
    reissued = reissue_small(parse_request(BODY), BODY, 1)
    assert reissued is not None
    question = SessionStreams().ask(b"1", ("http://replica", "session"), 0.0, moved=True)
    return [reissued.id.decode(), question.decode()]


def test_two_processes_give_different_ids() -> None:
    ours = ids()
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=Path(__file__).parents[3])
    theirs = done.stdout.split()
    assert all(id.encode().startswith(OURS) for id in (*ours, *theirs))
    for our, their in zip(ours, theirs, strict=True):
        assert our.rpartition("-")[0] != their.rpartition("-")[0], "the running numbers differ by chance"
