"""A real Chromium, headless, driven through its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp

from tests.requirements import CACHE, need_path, need_program

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip

STARTS = 120.0
"""Seconds in which the browser must be there."""

ANSWERS = 90.0
"""Seconds in which it must carry out a command."""

SWAPPING = "Not attached to an active page"
"""Refusal of a command to the page while the browser replaces its process by that of a new document. The command has
not begun."""

KEYS = {"Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r"), "Space": (" ", 32, " ")}


class Tab:
    """One page. `console` has its errors, warnings and uncaught exceptions."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.console: list[str] = []
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: str | None = None
        self._target = ""
        self._reader = asyncio.create_task(self._read(), name="devtools")

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; its result. Raises RuntimeError if the browser refuses it."""
        deadline = asyncio.get_running_loop().time() + ANSWERS
        while True:
            try:
                return await self._send(method, params, self._session)
            except RuntimeError as refusal:
                if SWAPPING not in str(refusal) or asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.05)

    async def _send(self, method: str, params: Mapping[str, Any], of: str | None) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        session = {} if of is None else {"sessionId": of}
        await self._socket.send_json({"id": number, "method": method, "params": params, **session})
        try:
            return await asyncio.wait_for(answer, ANSWERS)
        except RuntimeError as refusal:
            raise RuntimeError(f"{method}: {refusal}") from None

    async def attach(self) -> None:
        """Open the tab."""
        self._target = (await self.send("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.send("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.send(f"{domain}.enable")

    async def show(self, url: str, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Load a page in a window of this size, for a person who prefers this colour scheme."""
        await self.look(width=width, height=height, scheme=scheme)
        await self.send("Page.navigate", url=url)

    async def look(self, *, width: int = 1280, height: int = 900, scheme: str = "light", scale: float = 1) -> None:
        """Change the window and the preference."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript, a promise awaited. Raises RuntimeError if it throws."""
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def until(self, expression: str, limit: float = 60.0) -> None:
        """Return when the expression is true. Raises AssertionError with the page's text after `limit` seconds."""
        deadline = asyncio.get_running_loop().time() + limit
        while not await self.value(f"Boolean({expression})"):
            if asyncio.get_running_loop().time() > deadline:
                text = await self.value("document.body?.innerText")
                raise AssertionError(f"not within {limit:g} s: {expression}\n{text}\n{self.console}")
            await asyncio.sleep(0.05)

    async def press(self, key: str) -> None:
        """Press and release a key of `KEYS`."""
        name, code, text = KEYS[key]
        common = {"key": name, "code": key, "windowsVirtualKeyCode": code}
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    async def violations(self) -> list[str]:
        """The findings of axe-core on the present page, one line for each element."""
        need = "`make servers` installs it"
        program = need_path(CACHE / "browser/node_modules/axe-core/axe.min.js", "axe-core", need).read_text()
        await self.value(f"{program};0")
        found = await self.value("axe.run().then((result) => result.violations)")
        return [f"{rule['id']}: {node['html']}: {node['failureSummary']}" for rule in found for node in rule["nodes"]]

    async def picture(self) -> bytes:
        """The content of the window, as a PNG."""
        answer = await self.send("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])

    async def leave(self) -> None:
        """Close the tab. The browser does so in whatever state its page is."""
        await self._send("Target.closeTarget", {"targetId": self._target}, None)

    async def close(self) -> None:
        """Forget the browser."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            answer = self._answers.pop(said.get("id", 0), None)
            if answer is not None and not answer.done():
                if "error" in said:
                    answer.set_exception(RuntimeError(said["error"]["message"]))
                else:
                    answer.set_result(said["result"])
            match said.get("method"):
                case "Runtime.exceptionThrown":
                    self.console.append(str(said["params"]["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if said["params"]["type"] in ("error", "warning"):
                    self.console.append(str(said["params"]["args"]))
                case "Log.entryAdded" if said["params"]["entry"]["level"] in ("error", "warning"):
                    self.console.append(said["params"]["entry"]["text"])


@contextlib.asynccontextmanager
async def chromium(flags: Sequence[str] = ()) -> AsyncIterator[Tab]:
    """A tab of a new browser with a profile of its own; the test ends if there is no browser."""
    program = need_program("chromium", "install the Debian package chromium (scripts/install-debian-packages)")
    profile = tempfile.mkdtemp(prefix="mcppool-chromium-")
    process = await asyncio.create_subprocess_exec(
        program, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    drain: asyncio.Task[bytes] | None = None
    try:
        assert process.stderr is not None
        address = await asyncio.wait_for(_devtools(process.stderr), STARTS)
        drain = asyncio.create_task(process.stderr.read())  # a full pipe would stop it
        async with aiohttp.ClientSession() as http, http.ws_connect(address, max_msg_size=0) as socket:
            tab = Tab(socket)
            await tab.attach()
            try:
                yield tab
                await tab.leave()
            finally:
                await tab.close()
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                process.kill()
                await process.wait()
        if drain is not None:
            drain.cancel()
            await asyncio.gather(drain, return_exceptions=True)
        shutil.rmtree(profile, ignore_errors=True)


async def _devtools(stderr: asyncio.StreamReader) -> str:
    """The address that the browser writes when it is ready."""
    said = []
    async for line in stderr:
        said.append(line.decode(errors="replace"))
        if found := re.search(r"DevTools listening on (ws://\S+)", said[-1]):
            return found[1]
    raise RuntimeError(f"chromium ended:\n{''.join(said)}")
