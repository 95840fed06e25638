"""A small local server that shows, on demand, what a program may do on its standard streams. No packages.

It speaks the handshake era, and with `--modern` also 2026-07-28. Each call runs in a thread. Options:
--discover exit|silent|CODE   what comes of `server/discover` where it is not spoken (default: error -32601)
--only-initialize             it ends at a first message that is not `initialize`, as programs on rmcp 0.16 do
--agrees                      to any version of the protocol, as programs on rmcp 1.8 do
--starts-after SECONDS        it reads nothing before, as a program that has to be fetched first
--initialize-takes SECONDS    before the answer to `initialize`
--log FILE                    a line of JSON for each start and each message
--noise                       a line that is no message, first of all
--offspring                   it starts a process in its group, one in a session of its own, which hold its output
--deaf                        it reads nothing more after `initialize`, or after its first call
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

VERSIONS = ["2025-03-26", "2025-06-18", "2025-11-25"]
TOOLS = ("pid", "env", "echo", "chatter", "die", "wait", "flood", "count", "ask", "speak")

writing = threading.Lock()
counter = 0
answers: dict[str, Any] = {}
answered = threading.Condition()


def send(message: dict[str, Any]) -> None:
    """One message, whole."""
    with writing:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def note(options: argparse.Namespace, **what: Any) -> None:
    """A line in the log."""
    if options.log:
        with open(options.log, "a") as file:
            file.write(json.dumps({"pid": os.getpid(), **what}) + "\n")


def log_message(text: str) -> None:
    """A log message, which does not name its call."""
    send({"method": "notifications/message", "params": {"level": "info", "data": text}})


def run_tool(name: str, given: dict[str, Any], meta: dict[str, Any]) -> Any:
    """The tool's result."""
    global counter
    if name == "pid":
        return os.getpid()
    if name == "echo":
        return len(given["value"])
    if name == "env":
        return dict(os.environ)
    if name == "chatter":
        for row in range(given["rows"]):
            log_message(f"{given['who']}: row {row}")
            if "progressToken" in meta:
                token = meta["progressToken"]
                send({"method": "notifications/progress", "params": {"progressToken": token, "progress": row + 1}})
            time.sleep(given.get("pause", 0.02))
        return given["who"]
    if name == "die":
        if "signal" in given:
            os.kill(os.getpid(), given["signal"])
            time.sleep(10)
        os._exit(given.get("code", 1))
    if name == "wait":
        time.sleep(given["seconds"])
        return "waited"
    if name == "flood":
        progress = {"progressToken": meta.get("progressToken"), "progress": 1, "message": "x" * given["size"]}
        for _ in range(given["count"]):
            send({"method": "notifications/progress", "params": progress})
        return "flooded"
    if name == "count":
        counter += 1
        return counter
    if name == "ask":
        send({"id": f"q{given['who']}", "method": "sampling/createMessage", "params": {"who": given["who"]}})
        with answered:
            answered.wait_for(lambda: f"q{given['who']}" in answers, 60)
        return answers.get(f"q{given['who']}")
    if name == "speak":
        with writing:
            sys.stdout.write(given["line"] + "\n")
            sys.stdout.flush()
        return "spoken"
    raise KeyError(name)


def result_of(options: argparse.Namespace, message: dict[str, Any]) -> dict[str, Any]:
    """The result of a request."""
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        time.sleep(options.initialize_takes)
        known = options.agrees or params["protocolVersion"] in VERSIONS
        version = params["protocolVersion"] if known else VERSIONS[-1]
        return {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "odd", "version": params["clientInfo"]["name"]},
        }
    if method == "server/discover":
        capabilities: dict[str, Any] = {"tools": {}}
        return {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, "ttlMs": 0, "cacheScope": "private"}
    if method == "tools/list":
        while options.holds_lists and os.path.exists(options.holds_lists):
            time.sleep(0.01)
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
        return {"tools": tools, "ttlMs": 0, "cacheScope": "private"}
    if method == "tools/call":
        found = run_tool(params["name"], params.get("arguments", {}), params.get("_meta", {}))
        return {"content": [{"type": "text", "text": json.dumps(found)}], "structuredContent": {"result": found}}
    if method == "ping":
        return {}
    raise LookupError(method)


def answer(options: argparse.Namespace, message: dict[str, Any]) -> None:
    """Answer one request."""
    try:
        result = result_of(options, message)
    except LookupError as error:
        send({"id": message["id"], "error": {"code": -32601, "message": f"unknown: {error}"}})
    else:
        send({"id": message["id"], "result": {"resultType": "complete", **result}})


def refuse_discover(options: argparse.Namespace, message: dict[str, Any]) -> None:
    """A program of the handshake era is asked about the next one."""
    if options.discover == "exit":
        os._exit(1)
    if options.discover != "silent":
        send({"id": message["id"], "error": {"code": int(options.discover), "message": "what?"}})


def serve(options: argparse.Namespace) -> None:
    """Read until the input ends."""
    first = True
    for line in sys.stdin:
        message = json.loads(line)
        note(options, method=message.get("method"), params=message.get("params"), id=message.get("id"))
        method = message.get("method")
        if first and options.only_initialize and method != "initialize":
            sys.exit("expected initialize")
        first = False
        if method is None:
            with answered:
                answers[message["id"]] = message.get("result", message.get("error"))
                answered.notify_all()
        elif "id" not in message:
            continue
        elif method == "server/discover" and not options.modern:
            refuse_discover(options, message)
        else:
            threading.Thread(target=answer, args=(options, message), daemon=True).start()
        if options.deaf and method == "tools/call":
            time.sleep(3600)


def main() -> None:
    """Serve as the options say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--modern", action="store_true")
    parser.add_argument("--discover", default="-32601")
    parser.add_argument("--only-initialize", action="store_true")
    parser.add_argument("--agrees", action="store_true")
    parser.add_argument("--initialize-takes", type=float, default=0.0)
    parser.add_argument("--holds-lists", metavar="WHILE_THIS_FILE_EXISTS")
    parser.add_argument("--starts-after", type=float, default=0.0)
    parser.add_argument("--log")
    parser.add_argument("--noise")
    parser.add_argument("--offspring", action="store_true")
    parser.add_argument("--deaf", action="store_true")
    options = parser.parse_args()
    note(options, started=True)
    if options.noise:
        print(options.noise, flush=True)
    if options.offspring:
        for own_session in (False, True):
            child = subprocess.Popen(
                ["sleep", "3600"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=own_session
            )
            note(options, offspring=child.pid)
    time.sleep(options.starts_after)
    serve(options)


if __name__ == "__main__":
    main()
