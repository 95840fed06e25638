"""Measures the work that a gateway does until `/livez` answers. A process of its own, with one thread: in a test's
process others may hold Python's lock while the gateway goes on. No packages.

Arguments: the gateway's process id, host and port. For each line of its input it measures once, and writes the seconds.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path


def schedule(process: str) -> tuple[float, float]:
    """Seconds for which the first thread of a process has worked, and for which it has waited for a processor."""
    worked, waited, _ = Path(f"/proc/{process}/schedstat").read_text().split()
    return int(worked) / 1e9, int(waited) / 1e9


def measure(process: str, host: str, port: int) -> float:
    """The work of one request.

    It is sent before the time is taken, and time in which only this process waits for a processor is left out.
    """
    with socket.create_connection((host, port), 90) as probe:
        probe.sendall(f"GET /livez HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        began, waited = schedule(process)[0], schedule("self")[1]
        answer = probe.recv(1 << 16)
        work = schedule(process)[0] - began
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"/livez: {answer!r}")
        return max(0.0, work - (schedule("self")[1] - waited))


def main() -> None:
    """Measure until the input ends."""
    process, host, port = sys.argv[1:]
    for _ in sys.stdin.buffer:
        print(measure(process, host, int(port)), flush=True)


if __name__ == "__main__":
    main()
