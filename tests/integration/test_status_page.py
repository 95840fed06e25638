"""The status page in a real Chromium, and `mcppool status`, of a gateway at work."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mcppool.observe.admin import AdminServer
from mcppool.observe.pages import OwnPages
from tests.browser import Tab, chromium
from tests.browser.example import ExampleGateway
from tests.conftest import GatewayFactory
from tests.integration.load import reading
from tests.servers import Gateway, Replica, free_port, pool_toml, urls_of
from tests.waiting import until

ADAPTIVE = '[pools.retry_policy]\nstrategy = "adaptive"\n[pools.cache]\ntype = "memory"\n'
EVENLY = '[pools.load_balancer]\nstrategy = "round_robin"\n'
WIDER_THAN_THEIR_CARD = (
    "[...document.querySelectorAll('table')].filter((table) => table.getBoundingClientRect().right >"
    " table.parentElement.getBoundingClientRect().right + 1).map((table) => table.caption.textContent)"
)
ROWS = "[...document.querySelectorAll('.pool table:first-of-type tbody tr')]"
SHARES = "[...document.querySelectorAll('td[data-label=\"Share of calls\"]')].map((cell) => parseInt(cell.textContent))"
CONTROLS = "[...document.querySelectorAll('a[href], button, input, summary')].length"
FOCUSED = "document.activeElement === document.body ? null : document.activeElement.textContent"


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with chromium() as opened:
        yield opened


async def opened(tab: Tab, front: Gateway, scheme: str = "light") -> None:
    """Show the page and wait until it has drawn something."""
    await tab.show(f"{front.admin}/", scheme=scheme)
    await tab.until("document.querySelector('#fresh time')")


def row(url: str, text: str) -> str:
    """Whether the row of an endpoint has this text."""
    return f"{ROWS}.some((row) => row.textContent.includes({url!r}) && row.textContent.includes({text!r}))"


async def test_the_page_follows_the_servers_without_a_reload(
    tab: Tab, gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas), sections=ADAPTIVE + EVENLY))
    await opened(tab, front)
    for replica in replicas:
        await tab.until(row(replica.url, "available"))
    async with reading(front.url):
        await tab.until("Number(document.querySelector('.figures dd').textContent) > 0")
        await tab.until(f"{SHARES}.length === 3 && {SHARES}.every((share) => share > 20 && share < 50)")
        replicas[1].kill()
        await tab.until(row(replicas[1].url, "unreachable"))
        await tab.until("document.querySelector('#overall').textContent === 'degraded'")
        await tab.until(f"document.querySelector('#announcement').textContent.includes({replicas[1].url!r})")
        await tab.until("/connection lost|connect failed/.test(document.body.textContent)")
        await replicas[1].restart()
        await tab.until(row(replicas[1].url, "available"))
        await tab.until("document.querySelector('.chart rect.calls')")
        await tab.until("document.querySelector('tr[data-key=add], tr[data-key=whoami], tr[data-key=other]')")
    assert await tab.value("document.title") in ("healthy · mcppool", "degraded · mcppool")
    assert tab.console == []


async def test_a_gateway_without_pools_shows_how_to_add_one(tab: Tab, gateway: GatewayFactory) -> None:
    front = await asyncio.to_thread(gateway, "")
    await opened(tab, front)
    assert "[[pools]]" in await tab.value("document.querySelector('main').textContent")
    assert await tab.violations() == []


@pytest.fixture
async def many() -> AsyncIterator[str]:
    """The address of a made-up gateway's pages, with 200 endpoints and 300 tools. Ask for it before the tab, so that
    the tab closes first."""
    server = AdminServer("127.0.0.1", 0, OwnPages(ExampleGateway(200, 300)))
    await server.start()
    yield f"http://127.0.0.1:{server.port}/"
    await server.stop()


async def test_a_large_pool_is_short_until_its_reader_asks_for_more(many: str, tab: Tab) -> None:
    await tab.show(many)
    await tab.until("document.querySelector('tr[data-key=fetch]')")
    assert await tab.value(f"{ROWS}.length") < 50
    first = await tab.value(f"{ROWS}.slice(0, 2).map((row) => row.querySelector('.state').textContent)")
    assert first == ["ejected", "unreachable"], "problems come first"
    for scheme, width in (("light", 400), ("dark", 1280)):
        await tab.look(width=width, scheme=scheme)
        assert await tab.violations() == []
        assert await tab.value("document.documentElement.scrollWidth") <= width
    for width in (840, 960, 1080):  # the tables with ten columns are tables from 832 on
        await tab.look(width=width)
        assert await tab.value("document.documentElement.scrollWidth") <= width
        assert await tab.value(WIDER_THAN_THEIR_CARD) == []
    await tab.look()
    await tab.value("document.querySelector('[data-open=\"search endpoints\"]').click()")
    await tab.until(f"{ROWS}.length > 200")
    await tab.value("document.querySelector('[data-filter=\"search endpoints\"]').focus()")
    await tab.send("Input.insertText", text="10.0.0.177")
    await tab.until(f"{ROWS}[0].textContent.includes('10.0.0.177')")
    assert await tab.value("document.activeElement.value") == "10.0.0.177"
    assert tab.console == []


async def test_advice_is_shown_with_its_figures_and_the_question_before_it(many: str, tab: Tab) -> None:
    await tab.show(many)
    await tab.until("document.querySelector('[data-key=advice] summary')")
    await tab.value("document.querySelector('[data-key=advice] summary').click()")
    await tab.until("document.querySelector('[data-key=advice] details').open")
    text = await tab.value("document.querySelector('[data-key=advice]').textContent")
    for part in ("tools.fetch.cache_ttl", "1m", "sampled calls: 410", "Expected: At least 62%", "First ask:"):
        assert part in text
    assert await tab.violations() == []
    assert tab.console == []


async def test_a_link_shows_a_tool_that_is_far_down_and_a_click_copies_an_address(many: str, tab: Tab) -> None:
    await tab.send("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    await tab.show(f"{many}#search/run_query_20")
    await tab.until("document.activeElement?.textContent === 'run_query_20'")
    assert await tab.value("document.activeElement.closest('tr').matches('.marked')")
    box = await tab.value("document.activeElement.getBoundingClientRect().toJSON()")
    assert 0 <= box["top"] <= 900
    await tab.value("location.hash = '#search/write_file_9'")
    await tab.until("document.activeElement?.textContent === 'write_file_9'")
    await tab.value("document.querySelector('[data-copy^=http]').focus()")
    await tab.press("Enter")
    await tab.until("document.querySelector('#announcement').textContent === 'Copied http://10.0.0.3:8000/mcp'")
    assert tab.console == []


async def test_a_link_to_a_pool_or_tool_that_is_gone_says_so(many: str, tab: Tab) -> None:
    notice = "document.querySelector('#absent:not([hidden])')?.textContent"
    evil = "<img src=x onerror=console.error(1)>"
    await tab.show(f"{many}#search/{quote(evil, safe='')}")
    await tab.until(f"{notice}?.includes({evil!r})")
    assert await tab.violations() == []
    await tab.value("location.hash = '#renamed/fetch'")
    await tab.until(f"{notice} === 'There is no pool renamed now.'")
    await tab.value("location.hash = '#search/fetch'")
    await tab.until("document.activeElement?.textContent === 'fetch'")
    assert await tab.value(notice) is None
    changed = "new Promise((done) => addEventListener('hashchange', () => done(true), { once: true }))"
    assert await tab.value(f"(location.hash = '#main', {changed})")
    assert await tab.value(notice) is None, "the link that skips the head names no pool"
    assert tab.console == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_a_troubled_gateway(
    tab: Tab, gateway: GatewayFactory, replicas: tuple[Replica, ...], scheme: str
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas), sections=ADAPTIVE))
    async with reading(front.url, callers=1):
        replicas[0].kill()
        front.edit(pool_toml("ftp://nowhere"))
        await opened(tab, front, scheme)
        await tab.until(row(replicas[0].url, "unreachable"))
        await tab.until("document.querySelector('main .notice li')")
    for width in (1280, 360):
        await tab.look(width=width, scheme=scheme)
        assert await tab.violations() == []
        assert await tab.value("document.documentElement.scrollWidth") <= width


async def test_everything_that_can_be_used_is_reached_by_the_keyboard(
    tab: Tab, gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas)))
    await opened(tab, front)
    reached = []
    for _ in range(await tab.value(CONTROLS)):
        await tab.press("Tab")
        reached.append(await tab.value(FOCUSED))
        assert await tab.value("document.activeElement.matches(':focus-visible')")
        assert await tab.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached[:2] == ["Skip to the status", "Pause updates"]
    assert set(urls_of(replicas)) <= set(reached), "their addresses can be copied"
    assert reached[-5:] == ["This page as JSON", "History", "Health", "Metrics", "Configuration"]


async def test_updates_can_be_paused_and_go_on_without_losing_the_focus(
    tab: Tab, gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas)))
    await opened(tab, front)
    await tab.press("Tab")
    await tab.press("Tab")
    await tab.press("Space")
    assert await tab.value("document.activeElement.getAttribute('aria-pressed')") == "true"
    replicas[2].kill()
    await tab.until("!busy")
    shown = await tab.value("document.querySelector('#fresh').textContent")
    await tab.value("new Promise((resolve) => setTimeout(resolve, 2 * PERIOD))")  # a page's timers come in order
    assert await tab.value("busy") is False
    assert await tab.value("document.querySelector('#fresh').textContent") == shown
    await tab.press("Space")
    await tab.until(row(replicas[2].url, "unreachable"))
    assert await tab.value(FOCUSED) == "Pause updates"


async def test_an_address_or_a_fault_is_text_whatever_is_in_it(
    tab: Tab, gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    evil = f"http://127.0.0.1:{free_port()}/<img/src=x/onerror=console.error(1)>"
    front = await asyncio.to_thread(gateway, pool_toml(replicas[0].url, evil))
    await opened(tab, front)
    await tab.until(row("<img/src=x", "unreachable"))
    assert "connection refused" in await tab.value("document.querySelector('.wide tbody').textContent")
    assert await tab.value("document.images.length") == 0
    assert tab.console == []


async def test_a_gateway_that_is_gone_is_reported(
    tab: Tab, gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas)))
    await opened(tab, front)
    await asyncio.to_thread(front.terminate)
    await tab.until("!document.querySelector('#lost').hidden")
    assert "does not answer" in await tab.value("document.querySelector('#lost').textContent")
    assert await tab.value(f"{ROWS}.length") == 3


async def status(*arguments: str) -> tuple[int | None, str]:
    """Exit status and output of `mcppool status`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcppool.cli.main", "status", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_the_command_shows_the_same_in_the_terminal_and_in_its_exit_status(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas), name="search"))
    code, text = await status(front.admin)
    assert code == 0
    assert "POOL search" in text
    for replica in replicas:
        assert any(line.startswith(replica.url) and "available" in line for line in text.splitlines())
    code, text = await status("--json", front.admin)
    assert (code, json.loads(text)["pools"][0]["name"]) == (0, "search")
    empty = await asyncio.to_thread(gateway, "")
    code, text = await status(empty.admin)
    assert code == 1
    assert "No pool is configured yet" in text


async def test_a_watched_gateway_is_shown_again_and_again_until_ctrl_c(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas), name="search"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcppool.cli.main", "status", front.admin, "--watch", "0.1",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        # As at a terminal: a background process of a shell ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout is not None
    seen = 0
    while seen < 3:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert line, "it ended by itself"
        seen += line.startswith(b"POOL search")
    process.send_signal(signal.SIGINT)
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, errors) == (0, b"")


async def test_the_page_of_one_gateway_shows_all_of_them(
    tmp_path: Path, gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    first = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas), name="search"))
    others = f'gateways = ["{first.admin}"]'
    second = Gateway(tmp_path, pool_toml(*urls_of(replicas), name="search"), name="second", metrics=others)
    await asyncio.to_thread(second.start)
    try:
        async with reading(first.url, callers=1):
            await until(
                lambda: whole(second)["pools"][0]["outcomes"].get("success", 0) > 20, "calls at the first count"
            )
        found = whole(second)
        assert [line["address"] for line in found["gateways"]] == ["this gateway", first.admin]
        assert json.loads(second.get("/status.json")[1])["pools"][0]["outcomes"].get("success", 0) == 0
        code, text = await status(second.admin)
        assert code == 0
        assert any(line.startswith(first.admin) for line in text.splitlines())
        await asyncio.to_thread(first.terminate)
        await until(lambda: not whole(second)["gateways"][1]["answers"], "the first is gone")
        assert whole(second)["problems"][-1]["name"] == first.admin
    finally:
        await asyncio.to_thread(second.close)


def whole(front: Gateway) -> dict[str, Any]:
    """The status of all gateways that one of them knows."""
    found: dict[str, Any] = json.loads(front.get("/status.json?gateways=all")[1])
    return found
