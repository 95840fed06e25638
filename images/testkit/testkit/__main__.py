"""`python -m testkit …`: a server, or a client whose findings are JSON lines on standard output.

testkit serve [--port 8000] [--latency 0]      a small server with the tools add, whoami and write
testkit stdio                                  the same on its standard streams
testkit ledger [--port 8000]                   where its replicas note what they write
testkit everything [--port 8000]               the SDK's everything server, on every address
testkit call URL TOOL [NAME=VALUE …]           one call; the result as JSON
testkit load URL [--workers 8] [--rate 50] [--seconds 60] [--timeout 120]     until standard input or the time ends
testkit session URL HOST:PORT HOST:PORT …      one handshake-era session whose requests go to these gateways in turn
testkit sessions URL [--count 12] [--interval 0.5]     handshake-era sessions; "end NAME …" on standard input ends some
testkit wait                                   nothing, until it is told to end: a pod to run the others in
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

from testkit import client, ledger, load, server, sessions


def main() -> None:
    """Run the subcommand that the command line names."""
    parser = argparse.ArgumentParser(prog="testkit", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("stdio")
    for name in ("serve", "everything", "ledger"):
        listener = commands.add_parser(name)
        listener.add_argument("--port", type=int, default=8000)
        if name == "serve":
            listener.add_argument("--latency", type=float, default=0, help="seconds that each call takes")
    call = commands.add_parser("call")
    call.add_argument("url")
    call.add_argument("tool")
    call.add_argument("arguments", nargs="*", metavar="NAME=VALUE")
    loader = commands.add_parser("load")
    loader.add_argument("url")
    loader.add_argument("--workers", type=int, default=8)
    loader.add_argument("--rate", type=float, default=50, help="calls per second, of all workers together")
    loader.add_argument("--seconds", type=float, default=60, help="the longest it goes on")
    loader.add_argument("--timeout", type=float, default=120, help="seconds that a call may take")
    session = commands.add_parser("session")
    session.add_argument("url")
    session.add_argument("gateways", nargs="+", metavar="HOST:PORT")
    many = commands.add_parser("sessions")
    many.add_argument("url")
    many.add_argument("--count", type=int, default=12)
    many.add_argument("--interval", type=float, default=0.5, help="seconds between two calls of a session")
    commands.add_parser("wait")
    options = parser.parse_args()

    match options.command:
        case "serve":
            server.serve(options.port, options.latency)
        case "stdio":
            server.stdio()
        case "ledger":
            ledger.serve(server.EVERYWHERE, options.port)
        case "everything":
            server.everything(options.port)
        case "call":
            print(json.dumps(asyncio.run(client.call(options.url, options.tool, options.arguments))))
        case "load":
            asyncio.run(load.run(options.url, options.workers, options.rate, options.seconds, options.timeout))
        case "session":
            print(json.dumps(asyncio.run(client.session(options.url, options.gateways))))
        case "sessions":
            asyncio.run(sessions.run(options.url, options.count, options.interval))
        case "wait":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # process 1 gets only the signals that it handles
            signal.pause()


if __name__ == "__main__":
    main()
