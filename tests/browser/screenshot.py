"""`make screenshot`: the pictures of the status page in the documentation, of the made-up gateway with two faults.

`python -m tests.browser.screenshot FOLDER` writes one for each colour scheme.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from mcppool.observe.admin import AdminServer
from mcppool.observe.pages import OwnPages
from tests.browser import chromium
from tests.browser.example import ExampleGateway

WIDTH, HEIGHT = 1200, 1640
FILES = {"light": "status-page.png", "dark": "status-page-dark.png"}


async def shoot(folder: Path) -> None:
    """Serve the pages, and save a picture for each colour scheme."""
    server = AdminServer("127.0.0.1", 0, OwnPages(ExampleGateway()))
    await server.start()
    try:
        async with chromium() as tab:
            for scheme, name in FILES.items():
                await tab.show(f"http://127.0.0.1:{server.port}/", width=WIDTH, height=HEIGHT, scheme=scheme)
                await tab.until("document.querySelector('.chart rect.calls')")
                await tab.value("Promise.all(document.getAnimations().map((each) => each.finished)).then(() => 0)")
                await asyncio.to_thread((folder / name).write_bytes, await tab.picture())
    finally:
        await server.stop()


def main() -> None:
    """Save the pictures."""
    parser = argparse.ArgumentParser(prog="screenshot")
    parser.add_argument("folder", type=Path)
    asyncio.run(shoot(parser.parse_args().folder))


if __name__ == "__main__":
    main()
