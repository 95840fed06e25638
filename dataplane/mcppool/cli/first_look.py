"""A first look at servers, for `mcppool init`: what each is, and its tools."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcppool.cli.lists import whole_list
from mcppool.cli.program_words import program_words
from mcppool.cli.progress import progress
from mcppool.version import __version__

if TYPE_CHECKING:
    from mcppool.client.pool import Pool

CLIENT = {"name": "mcppool init", "version": __version__}


@dataclass(frozen=True)
class Look:
    """The result of a look at one server. `trouble` is the reason why it did not answer, empty if it did."""

    name: str = ""
    version: str = ""
    era: str = ""
    protocol_version: str = ""
    tools: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    trouble: str = ""


async def look_at(urls: Sequence[str], command: Sequence[str], token_file: str | None, timeout: float) -> list[Look]:
    """Ask each server what it is; a local program is started once. Raises ConfigError."""
    from mcppool.client.pool import Pool  # here, because it takes long to load

    sections: dict[str, Any] = {}
    if token_file is not None:
        sections["auth"] = {"outbound": {"type": "token", "token": {"token_file": token_file}}}
    options: dict[str, Any] = {"profile": "development", "client_info": CLIENT, "name": "init"}
    if command:
        pools = [Pool(command=list(command), replicas=1, **options)]
    else:
        pools = [Pool([url], **options, **sections) for url in urls]
    what = "the program" if command else "1 server" if len(urls) == 1 else f"{len(urls)} servers"
    async with progress(f"asking {what}"):
        return list(await asyncio.gather(*(_look(pool, timeout) for pool in pools)))


async def _look(pool: Pool, timeout: float) -> Look:
    from mcppool.client.errors import CallFailed, RpcError

    with program_words() as words:
        try:
            async with asyncio.timeout(timeout), pool:
                about = await pool.server_info(timeout=timeout)
                tools = await whole_list(pool, "tools/list", "tools")
        except CallFailed as failure:
            return Look(trouble=f"{failure.cause or failure.args[0]}{words}")
        except RpcError as error:
            return Look(trouble=f"it answers: {error}")
        except TimeoutError:
            return Look(trouble=f"no answer within {timeout:g} s{words}")
    return Look(about.name, about.version, about.era, about.protocol_version, tuple(tools))
