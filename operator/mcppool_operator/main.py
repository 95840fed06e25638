"""`mcppool-operator`: starts the parts, and stops them in the right order."""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import sys
from collections.abc import Collection, Coroutine, Iterator
from typing import Any, TypeVar

import aiohttp

from mcppool_operator import health, logs, watch
from mcppool_operator.api import TRANSIENT, KubeApi, KubeError, connect
from mcppool_operator.controller import Controller
from mcppool_operator.election import Elector, LeaseLostError
from mcppool_operator.gateways import new_session
from mcppool_operator.liveness import Watches
from mcppool_operator.optional_kinds import OptionalKinds
from mcppool_operator.options import Options, parse
from mcppool_operator.resources import POOL, Kind

log = logging.getLogger(__name__)

T = TypeVar("T")

FINISH = 1.5
"""Seconds that running reconciles have to end when the operator stops: another replica waits for the Lease. A snapshot
of one that is cut off is refused, because it replaces only the version that it has read."""

FIRST_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
MAX_WAIT = 15.0
"""Upper bound on the seconds between two tries to reach the API server at the start."""


class UnusableClusterError(Exception):
    """The operator cannot work in this cluster; the text names the remedy."""


def main() -> None:
    """Run until told to stop; exit code 1 if the Lease was lost, or the cluster cannot be used."""
    options = parse()
    logs.configure(options.log_level, options.log_format)
    try:
        asyncio.run(_operate(options))
    except* (LeaseLostError, UnusableClusterError, watch.WatchesFailedError) as group:
        log.error("ending: %s", "; ".join(_words(group)))
        sys.exit(1)
    except* Exception:
        log.exception("ending because of an unexpected error")
        sys.exit(1)


def _words(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _words(error)
        else:
            yield str(error)


async def _operate(options: Options) -> None:
    readiness, pulse = health.Readiness(), health.Pulse()
    async with (
        health.serve(options.host, options.metrics_port, options.probe_port, pulse, readiness),
        connect() as api,
        new_session() as session,
    ):
        beating = asyncio.create_task(pulse.run())
        try:
            children = await _until_told(_kinds(api))
            if children is not None:
                await _run(options, api, session, children, readiness)
        finally:
            beating.cancel()


async def _until_told(work: Coroutine[Any, Any, T]) -> T | None:
    """Run a coroutine until a signal stops it: the kernel gives the first process of a container no default action for
    signals."""
    task = asyncio.create_task(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def _kinds(api: KubeApi) -> Collection[Kind]:
    """The possible kinds of children. Waits while the API server does not answer."""
    for wait in itertools.chain(FIRST_WAITS, itertools.repeat(MAX_WAIT)):
        try:
            if not await api.served(POOL):
                advice = "run `kubectl apply --server-side -f crds/` first"
                raise UnusableClusterError(f"the API server does not know {POOL.kind}: {advice}")
            return watch.children_kinds(await OptionalKinds(api).served())
        except (KubeError, *TRANSIENT) as error:
            log.warning("waiting for the API server", extra={"error": str(error) or repr(error), "seconds": wait})
        await asyncio.sleep(wait)
    raise AssertionError("the waits never end")


async def _run(
    options: Options,
    api: KubeApi,
    session: aiohttp.ClientSession,
    children: Collection[Kind],
    readiness: health.Readiness,
) -> None:
    elector = Elector(api, options.lease_namespace, options.lease_name, options.identity, options.timing)
    controller = Controller(api, session, elector, options.installation, options.namespaces, options.workers)
    watches = Watches(watch.watched(children), options.namespaces, controller.listed, controller.unsure)
    readiness.watches = watches
    watching, stop_watching = asyncio.Event(), asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            # These start before kopf, because kopf cancels at its end all tasks that were started while it ran.
            standing = tasks.create_task(elector.run())
            working = tasks.create_task(controller.run())
            kopf = tasks.create_task(
                watch.run(
                    controller.hearers(), options.namespaces, children, watches, ready=watching, stop=stop_watching
                )
            )
            await _until_told_to_stop(watching, kopf)
            log.info("stopping")
            controller.close()
            await asyncio.wait([working], timeout=FINISH if elector.leads else 0)  # a standby has no work in progress
            for task in (working, standing):
                task.cancel()
            await asyncio.wait([working, standing])
            await elector.release()
            stop_watching.set()
    finally:
        await elector.release()  # whatever the cause: another replica need not wait for the Lease to expire


async def _until_told_to_stop(watching: asyncio.Event, kopf: asyncio.Task[None]) -> None:
    told = asyncio.Event()
    started = asyncio.create_task(watching.wait())
    await asyncio.wait([started, kopf], return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    # kopf has set its own handlers at its start. Ours must come first: the Lease is released after the last write and
    # before the watches end.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait([waiting, kopf], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
