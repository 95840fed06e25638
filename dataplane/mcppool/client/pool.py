"""`mcppool.Pool`: the pool in the process of the program that calls (design §6.7)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from mcppool.client.addresses import Addresses
from mcppool.client.errors import CallFailed, RpcError
from mcppool.client.requests import OnProgress
from mcppool.client.results import input_answers, page_of, typed
from mcppool.client.running_pool import RunningPool
from mcppool.client.server_info import ServerInfo
from mcppool.client.specification import read_arguments, read_config
from mcppool.client.tool_headers import ToolHeaders
from mcppool.discovery.zone import own_zone
from mcppool.observe import logs
from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.pool.requirements import unmet_needs
from mcppool.pipeline.sessions.key_file import parse_key_file, read_key_file
from mcppool.spec import ConfigError, Snapshot
from mcppool.version import __version__
from mcppool.wire.errors import HEADER_MISMATCH, Reason
from mcppool.wire.sealing import generate_key_line

if TYPE_CHECKING:
    import mcp_types

    from mcppool.client.sections import EndpointSection, PoolSections

Profile = Literal["production", "development", "test"]
"""A set of defaults."""

OPENING = 5.0
"""Seconds that opening waits for the first check of the servers. No answer is no error: servers may start later."""

STARTING = 30.0
"""The same for programs that the pool starts: some download themselves first."""


class Pool:
    """A pool of replicas of one MCP server, for a program that calls tools itself.

    Open it with `async with`, in the event loop whose tasks call it. Opening waits until one server has answered: five
    seconds at most, thirty if the pool starts the servers. Closing ends the calls in flight and leaves nothing behind;
    you may open the pool again.

    Args:
        endpoints: URLs, or mappings with `url`, `weight`, `host`, `zone`, `priority` and `headers`. `dns` or `command`
            may take their place.
        name: Name of the pool in logs.
        profile: The set of defaults.
        client_info: `name` and `version` of the program, for servers.
        capabilities: What the program can do for servers, such as `{"elicitation": {"form": {}}}`.
        sealing_keys: File with the keys that protect data in Redis. Programs with the same keys share the data.
        zone: Zone of the program, for `load_balancer.zone_preference`. Default: the variable `MCPPOOL_ZONE`.
        **sections: The sections of a pool in a configuration file, with the same keys, values and checks:
            `timeouts={"request": "10s"}`. `retry_policy` may be the name of a preset.

    Raises:
        ConfigError: The arguments have mistakes; it lists all of them.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str | EndpointSection] = (),
        *,
        name: str = "default",
        profile: Profile = "production",
        client_info: Mapping[str, str] | None = None,
        capabilities: Mapping[str, Any] | None = None,
        sealing_keys: str | Path | None = None,
        zone: str | None = None,
        **sections: Unpack[PoolSections],
    ) -> None:
        snapshot = read_arguments(endpoints, name, profile, sections, sealing_keys, zone)
        self._prepare(snapshot, client_info, capabilities)

    @classmethod
    def from_config(
        cls,
        path: str | Path,
        pool: str | None = None,
        *,
        client_info: Mapping[str, str] | None = None,
        capabilities: Mapping[str, Any] | None = None,
    ) -> Self:
        """The pool with this name in a configuration file, or the only one. Raises ConfigError."""
        self = cls.__new__(cls)
        self._prepare(read_config(path, pool), client_info, capabilities)
        return self

    def _prepare(
        self, snapshot: Snapshot, info: Mapping[str, str] | None, capabilities: Mapping[str, Any] | None
    ) -> None:
        (self._spec,) = snapshot.pools
        self._snapshot = snapshot
        self._key_file = snapshot.listener.sealing_keys
        self._seed = snapshot.seed
        self._info = dict(info or {"name": "mcppool", "version": __version__})
        self._capabilities = dict(capabilities or {})
        self._tool_headers = ToolHeaders()
        self._open: RunningPool | None = None
        self._opening = False

    # --- life ----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._open is not None or self._opening:
            raise RuntimeError("the pool is open already")
        self._opening = True
        try:
            await self._start()
        finally:
            self._opening = False
        return self

    async def _start(self) -> None:
        if unmet := [*unmet_needs(self._spec)]:
            raise ConfigError(unmet)
        logs.leave_to_program()
        rng = random.Random(self._seed) if self._seed is not None else None
        text = generate_key_line(time.time()) if self._key_file is None else read_key_file(self._key_file)
        ring = parse_key_file(text, self._key_file)
        addresses = Addresses(self._snapshot) if self._spec.dns else None
        try:
            spec = await addresses.first() if addresses is not None else self._spec
        except BaseException:
            if addresses is not None:
                await addresses.close()
            raise
        metrics = PoolMetrics(spec.name)
        pipeline = ServerPool(spec, metrics, ring, rng, own_zone(self._snapshot), sole_client=self._info)
        self._open = RunningPool(pipeline, self._info, self._capabilities, addresses)
        if addresses is not None:
            addresses.follow(pipeline.configure)
        pipeline.start()
        try:
            async with asyncio.timeout(STARTING if self._spec.command else OPENING):
                await pipeline.probed.wait()
        except TimeoutError:
            pass
        except BaseException:
            await self.aclose()
            raise
        if pipeline.settings.catalog.legacy:
            self._open.sessions.stock()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the calls in flight (they raise CallFailed), the sessions and the connections."""
        opened = self._open
        if opened is None:
            return
        opened.demand_its_loop()
        self._open = None
        closing = asyncio.create_task(opened.close(), name="closing")
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing  # each step of it has a limit
            raise

    # --- calls ---------------------------------------------------------------------------------------------------

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        progress: OnProgress | None = None,
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> mcp_types.CallToolResult:
        """Call a tool. A tool that fails is a result too: `is_error` says so.

        `timeout` is in seconds, for all attempts together, and replaces the pool's `timeouts.request`; `progress` is
        called with the server's progress reports. `input_responses` and `request_state` answer an `InputRequired`.

        Raises CallFailed, RpcError or InputRequired; cancelling the task cancels the call at the server.
        """
        import mcp_types

        arguments = dict(arguments or {})
        params = {"name": name, "arguments": arguments, **input_answers(input_responses, request_state)}
        requests, headers = self._running.requests, self._tool_headers.known(name, arguments)
        try:
            result = await requests.finish("tools/call", params, timeout, progress, headers)
        except RpcError as error:
            if error.code != HEADER_MISMATCH:
                raise
            # The tool requires arguments in headers, and refuses calls without them: nothing was executed.
            headers = await self._tool_headers.find(requests, name, arguments)
            if not headers:
                raise
            result = await requests.finish("tools/call", params, timeout, progress, headers)
        return typed(mcp_types.CallToolResult, result)

    async def list_tools(self, cursor: str | None = None, *, timeout: float | None = None) -> mcp_types.ListToolsResult:
        """One page of the tools; `next_cursor` of the result leads to the next. Raises CallFailed or RpcError."""
        import mcp_types

        return typed(mcp_types.ListToolsResult, await self.request("tools/list", page_of(cursor), timeout=timeout))

    async def list_prompts(
        self, cursor: str | None = None, *, timeout: float | None = None
    ) -> mcp_types.ListPromptsResult:
        """One page of the prompts. Raises CallFailed or RpcError."""
        import mcp_types

        return typed(mcp_types.ListPromptsResult, await self.request("prompts/list", page_of(cursor), timeout=timeout))

    async def list_resources(
        self, cursor: str | None = None, *, timeout: float | None = None
    ) -> mcp_types.ListResourcesResult:
        """One page of the resources. Raises CallFailed or RpcError."""
        import mcp_types

        result = await self.request("resources/list", page_of(cursor), timeout=timeout)
        return typed(mcp_types.ListResourcesResult, result)

    async def list_resource_templates(
        self, cursor: str | None = None, *, timeout: float | None = None
    ) -> mcp_types.ListResourceTemplatesResult:
        """One page of the resource templates. Raises CallFailed or RpcError."""
        import mcp_types

        result = await self.request("resources/templates/list", page_of(cursor), timeout=timeout)
        return typed(mcp_types.ListResourceTemplatesResult, result)

    async def read_resource(
        self,
        uri: str,
        *,
        timeout: float | None = None,
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> mcp_types.ReadResourceResult:
        """The contents of a resource. Raises CallFailed, RpcError or InputRequired."""
        import mcp_types

        params = {"uri": str(uri), **input_answers(input_responses, request_state)}
        return typed(
            mcp_types.ReadResourceResult, await self._running.requests.finish("resources/read", params, timeout)
        )

    async def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> mcp_types.GetPromptResult:
        """A prompt, filled in. Raises CallFailed, RpcError or InputRequired."""
        import mcp_types

        params = {"name": name, "arguments": dict(arguments or {}), **input_answers(input_responses, request_state)}
        return typed(mcp_types.GetPromptResult, await self._running.requests.finish("prompts/get", params, timeout))

    async def complete(
        self,
        ref: mcp_types.PromptReference | mcp_types.ResourceTemplateReference,
        argument: Mapping[str, str],
        *,
        context: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> mcp_types.CompleteResult:
        """Proposals for `argument` (`{"name": …, "value": …}`); `context` has the arguments that are already known.

        Raises CallFailed or RpcError.
        """
        import mcp_types

        params: dict[str, Any] = {
            "ref": ref.model_dump(by_alias=True, mode="json", exclude_none=True), "argument": dict(argument),
        }  # fmt: skip
        if context is not None:
            params["context"] = {"arguments": dict(context)}
        return typed(mcp_types.CompleteResult, await self.request("completion/complete", params, timeout=timeout))

    async def server_info(self, *, timeout: float | None = None) -> ServerInfo:
        """The description of one of the servers: era, name, version, capabilities, instructions. Raises CallFailed or
        RpcError."""
        return await self._running.requests.describe(timeout)

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Any request of the protocol, and its result as the server wrote it. Raises CallFailed or RpcError."""
        return await self._running.requests.send(method, params or {}, timeout, progress, {})

    def transport(self) -> AbstractAsyncContextManager[Any]:
        """A transport for the official SDK: `mcp.Client(pool.transport())`, as often as wanted, while the pool is
        open."""
        try:
            from mcppool.client.transport import open_transport
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("Pool.transport() needs the MCP SDK: pip install 'mcp>=2.3'") from error

        return open_transport(self._running.caller)

    # --- inside --------------------------------------------------------------------------------------------------

    @property
    def _running(self) -> RunningPool:
        if self._open is None:
            raise CallFailed(Reason.SHUTTING_DOWN, delivered="no", attempts=0, message="The pool is not open")
        self._open.demand_its_loop()
        return self._open
